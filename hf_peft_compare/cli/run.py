"""`run`: run all methods and seeds of a study, then write its report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from hf_peft_compare.cli.options import (
    Commands,
    add_command,
    add_executor,
    add_json,
    add_rows,
    add_study,
    add_trust,
    positive,
)
from hf_peft_compare.cli.report import print_report
from hf_peft_compare.config.layers import flatten
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.shared_rates import describe_shared_rate
from hf_peft_compare.core.errors import FAILED, OK, UserError
from hf_peft_compare.utils.quiet import stdout_for_the_answer

if TYPE_CHECKING:
    from hf_peft_compare.orchestration.jobs import Job
    from hf_peft_compare.orchestration.place import PlaceOptions
    from hf_peft_compare.orchestration.slots import MaxParallel


def add(commands: Commands) -> None:
    """Add the command."""
    run = add_command(commands, "run", run_command, "run all methods and seeds of a study, then write its report")
    add_study(run)
    add_trust(run)
    add_rows(run)
    run.add_argument("--seed", action="append", default=[], type=int, help="only this seed; repeatable")
    run.add_argument("--dry-run", action="store_true", help="print the resolved config of every run and stop")
    run.add_argument("--no-tune", action="store_true", help="do not search for learning rates that nobody has set")
    run.add_argument("--num-processes", type=positive, metavar="N", help="processes per run (default: one per GPU)")
    run.add_argument("--accelerate-config", metavar="NAME", help="how processes share a model: fsdp, …, or a file")
    parallel = "at most N runs at the same time, or auto: one per GPU, or per CPU core for small models (default: 1)"
    run.add_argument("--max-parallel", type=_parallel, metavar="N", help=parallel)
    add_executor(run)
    add_json(run, "print results.json at the end, with the outcome of each run and the path of the report")
    run.add_argument("--detach", action="store_true", help="return once the first runs are submitted; see `status`")


def _parallel(text: str) -> MaxParallel:
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor auto")
    return positive(text)


def run_command(options: argparse.Namespace) -> int:
    """Run all methods and seeds of a study, then print its table and write its report."""
    study = load_study(options.study, [*options.set, *(["tune=null"] if options.no_tune else [])])
    if options.dry_run:
        from hf_peft_compare.orchestration.jobs import jobs_of

        if sentence := describe_shared_rate(study):
            print(sentence)
        jobs = jobs_of(study, output_dir=options.output_dir, rows=options.method, seeds=options.seed)
        return _print_configs(jobs, _place(options))
    if options.detach:
        from hf_peft_compare.orchestration.detached import start_detached

        print(start_detached(options.output_dir / study.config.name))
        return OK
    from hf_peft_compare.api import run_study

    with stdout_for_the_answer(options.json):
        given = {"output_dir": options.output_dir, "rows": options.method, "seeds": options.seed}
        result = run_study(study, **given, **_place(options))
    print_report(result, as_json=options.json)
    return FAILED if "failed" in result.outcomes.values() else OK


def _place(options: argparse.Namespace) -> PlaceOptions:
    return {
        "num_processes": options.num_processes,
        "max_parallel": options.max_parallel,
        "accelerate_config": options.accelerate_config,
        "executor": options.executor,
        "executor_options": dict(options.executor_option),
    }


def _print_configs(jobs: Sequence[Job], options: PlaceOptions) -> int:
    """Print the resolved config of every run, each value with the layer that set it, and what would be submitted."""
    from hf_peft_compare.orchestration.launcher import preview
    from hf_peft_compare.orchestration.place import place_of

    for job in jobs:
        print(f"{job.config.study}/{job.config.run}")
        values = flatten(asdict(job.config))
        for key, layer in sorted(job.origins.items()):
            print(f"  {key} = {json.dumps(values.get(key), ensure_ascii=False)}  [{layer}]")
    print(preview(jobs, place_of(options)))
    return _print_inputs(jobs)


def _print_inputs(jobs: Sequence[Job]) -> int:
    """Print the first example as each row reads it, or why it cannot be shown: a model may not be here yet."""
    from hf_peft_compare.orchestration.input_examples import input_examples

    try:
        for rows, example in input_examples([job.config for job in jobs]):
            print(f"\nThe first example as {', '.join(rows)} read it:")
            for part, text in example.items():
                print(f"  {part}: {json.dumps(text, ensure_ascii=False)}")
    except UserError as error:
        print(f"\nNo example of what the model reads: {error}")
    return OK
