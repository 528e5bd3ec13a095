"""`plan`: estimate the resources of a study, or of a model, before anything is downloaded or trained."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_peft_compare.cli.options import (
    Commands,
    add_command,
    add_json,
    add_rows,
    add_study,
    add_trust,
    positive,
    print_json,
)
from hf_peft_compare.config.loading import is_study, load_study
from hf_peft_compare.config.shared_rates import describe_shared_rate
from hf_peft_compare.config.study import Study
from hf_peft_compare.core.errors import OK, UserError
from hf_peft_compare.core.registry import get_task
from hf_peft_compare.core.settings import defaults_of
from hf_peft_compare.utils.quiet import import_trainer, quiet, stdout_for_the_answer

METHODS = ("full", "lora")  # planned for a model if none is named
LABELS = ["A", "B"]  # of a task that needs some; their number hardly matters for memory


def add(commands: Commands) -> None:
    """Add the command."""
    plan = add_command(
        commands, "plan", plan_command, "estimate parameters, memory, FLOPs and time of a study before it runs"
    )
    add_study(plan, "a name from `list`, a YAML file, or a model: its Hub id or folder")
    add_trust(plan)
    add_rows(plan)
    plan.add_argument("--task", metavar="NAME", help="of a model: its task (default: summarization)")
    plan.add_argument("--batch", type=positive, metavar="N", help="of a model: rows of a batch (default: 8)")
    plan.add_argument("--length", type=positive, metavar="N", help="of a model: tokens of a text (default: 512)")
    plan.add_argument("--device", metavar="NAME", help="h200, a100, l4, t4 or cpu (default: this machine's)")
    plan.add_argument("--num-processes", type=positive, metavar="N", help="processes per run, one per device")
    plan.add_argument("--accelerate-config", metavar="NAME", help="how processes share a model: fsdp, …, or a file")
    plan.add_argument("--calibrate", action="store_true", help="time a few steps on this machine's device")
    add_json(plan, "print JSON, in bytes, seconds and FLOPs")


@quiet()
def plan_command(options: argparse.Namespace) -> int:
    """Print the estimated resources of every run of a study, before anything is downloaded or trained."""
    from hf_peft_compare.api import plan_of

    with stdout_for_the_answer(options.json):
        study, rows = _study_of(options)
        import_trainer()
        plan = plan_of(
            study,
            rows=rows,
            device=options.device,
            calibrate=options.calibrate,
            num_processes=options.num_processes,
            accelerate_config=options.accelerate_config,
        )
    if options.json:
        print_json(plan.as_json())
        return OK
    if sentence := describe_shared_rate(study):
        print(sentence)
    print(plan, end="")
    return OK


def _study_of(options: argparse.Namespace) -> tuple[Study, list[str]]:
    """Return the study of a name or file with the rows asked for, or one made up for a model."""
    of_model = {key: getattr(options, key) for key in ("task", "batch", "length") if getattr(options, key) is not None}
    is_model = not is_study(options.study) and (of_model or "/" in options.study or Path(options.study).is_dir())
    if not is_model:
        if of_model:
            raise UserError(
                f"--{next(iter(of_model))} is for a model, but {options.study} is a study; use --set, e.g. "
                f"--set training.train_batch_size=8 --set max_length=512."
            )
        return load_study(options.study, options.set), options.method
    return Study.from_dict(_study_of_model(options), options.set), []


def _study_of_model(options: argparse.Namespace) -> dict[str, object]:
    """Return a study of one model: every text fills the length, and the number of examples is unknown."""
    task, batch, length = options.task or "summarization", options.batch or 8, options.length or 512
    settings = defaults_of(get_task(task).settings)
    return {
        "name": "plan",
        "title": options.study,
        "task": {"name": task, **({"labels": LABELS} if "labels" in settings else {})},
        "dataset": "not/read",
        "model_name_or_path": options.study,
        "max_length": length,
        "methods": list(options.method or METHODS),
        "seeds": [0],
        "tune": None,
        "training": {"train_batch_size": batch, "eval_batch_size": batch},
        "generation": {"max_new_tokens": max(min(64, length // 4), 1)},
    }
