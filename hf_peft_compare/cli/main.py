"""The command line: parse, delegate. Nothing here needs torch until a run begins."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config import StudyConfig, list_studies, load_study
from hf_peft_compare.errors import BAD_INPUT, FAILED, INTERRUPTED, OK, RunFailed, UserError
from hf_peft_compare.grids import say_rows
from hf_peft_compare.records import RECORD_FILE, RunRecord, read_predictions, read_records

if TYPE_CHECKING:
    from hf_peft_compare.comparison import Comparison


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; give the exit status: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return options.function(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from the last checkpoint.", file=sys.stderr)
        return INTERRUPTED


def list_command(options: argparse.Namespace) -> int:
    """Print every study with its title and methods."""
    for name, study in list_studies().items():
        methods = ", ".join(say_rows(study.methods))
        print(f"{name}\n    {study.title}\n    methods: {methods}; seeds: {_words(study.seeds)}")
    return OK


def run_command(options: argparse.Namespace) -> int:
    """Do every run of a study, then print its table and write its report."""
    from hf_peft_compare import orchestration
    from hf_peft_compare.accelerate_configs import find_accelerate_config

    config = None if options.accelerate_config is None else find_accelerate_config(options.accelerate_config)
    study = load_study(options.study, options.set)
    jobs = orchestration.jobs_of(study, output_dir=options.output_dir, rows=options.method, seeds=options.seed)
    if options.dry_run:
        return _print_configs(jobs)
    from hf_peft_compare.live import Live

    with Live() as live:
        run_jobs = partial(
            orchestration.run_jobs,
            num_processes=options.num_processes,
            one_run_per_gpu=options.one_run_per_gpu,
            accelerate_config=config,
            say=live,
        )
        if study.config.tune is not None:
            from hf_peft_compare.tuning import tuned_jobs

            jobs = tuned_jobs(study, jobs, run_jobs)
        outcomes = run_jobs(jobs)
    folder = options.output_dir / study.config.name
    comparison = _write_report(study.config, folder, None)
    from hf_peft_compare.weights_and_biases import log_verdict

    log_verdict(study.config.name, comparison, folder)
    return FAILED if "failed" in outcomes.values() else OK


def train_command(options: argparse.Namespace) -> int:
    """Do one run in this process; under `accelerate launch` in as many as it starts."""
    from hf_peft_compare import orchestration

    study = load_study(options.study, options.set)
    job = orchestration.jobs_of(study, output_dir=options.output_dir, rows=[options.method], seeds=[options.seed])[0]
    if study.config.tune is not None:
        from hf_peft_compare.tuning import tuned_jobs

        (job,) = tuned_jobs(study, [job], _refuse_trials)
    _check_device(os.environ.get("LOCAL_RANK"))
    if os.environ.get("RANK", "0") != "0":
        return orchestration.train_one(job)
    from hf_peft_compare.live import Live

    with Live() as live:
        return orchestration.train_one(job, say=live)


def _refuse_trials(jobs: Sequence[Any], *, check: bool) -> None:
    """Raise UserError: one run is asked for, and its settings are not found yet."""
    row = jobs[0].config.row
    raise UserError(
        f"{row} is not tuned yet. Begin with `hf-peft-compare run STUDY --method {row}`, or train it with its own "
        f"settings: --set tune=null"
    )


def train_job_command(options: argparse.Namespace) -> int:
    """Do a run that `run` described in a file."""
    from hf_peft_compare import orchestration

    return orchestration.train_job(options.job)


def plan_command(options: argparse.Namespace) -> int:
    """Print what every run of a study will take, before anything is downloaded or trained."""
    from hf_peft_compare.planning.console import render_plan
    from hf_peft_compare.planning.planner import configs_of, plan_study

    _quieten()
    configs = configs_of(load_study(options.study, options.set), options.method)
    plan = plan_study(configs, device=options.device, calibrate=options.calibrate)
    print(json.dumps(plan.as_json(), indent=1) if options.json else render_plan(plan), end="\n" * options.json)
    return OK


def report_command(options: argparse.Namespace) -> int:
    """Make a study's report again from its records; no torch."""
    study = load_study(options.study, options.set).config
    folder = options.output_dir / study.name
    if not folder.is_dir():
        where = f"no runs of {study.name} in {options.output_dir}"
        raise UserError(f"{where}; begin with: hf-peft-compare run {options.study}")
    _write_report(study, folder, options.to)
    return OK


def choose_command(options: argparse.Namespace) -> int:
    """Print the row to take under a budget, study by study; the status is 1 where nothing fits."""
    from hf_peft_compare.comparison import compare
    from hf_peft_compare.comparison.choosing import Budget, choose, parse_size, say_choice, say_over_studies

    budget = Budget(
        max_memory_bytes=None if options.max_memory is None else parse_size(options.max_memory),
        max_minutes=options.max_minutes,
        max_checkpoint_bytes=None if options.max_checkpoint is None else parse_size(options.max_checkpoint),
        max_latency_seconds=options.max_latency,
        min_quality=options.min_quality,
        mergeable=options.mergeable,
    )
    choices = []
    for study in options.study:
        records, predictions = _read_runs(_study_folder(study, options.output_dir))
        runs = [(record.row, record.seed) for record in records.values()]
        choices.append(choose(compare(records, predictions, expected_runs=runs), budget))
        print(f"{study}\n" + "".join(f"    {sentence}\n" for sentence in say_choice(choices[-1])), end="")
    if len(choices) > 1:
        print(say_over_studies(choices))
    return OK if all(choice.row for choice in choices) else FAILED


def doctor_command(options: argparse.Namespace) -> int:
    """Check what silently ruins comparisons, row by row; the status is 1 where something was found."""
    from hf_peft_compare.doctor.console import as_json, render_examination, say_sum
    from hf_peft_compare.doctor.examining import examine
    from hf_peft_compare.planning.planner import configs_of

    _quieten()
    examinations = []
    for examination in examine(configs_of(load_study(options.study, options.set), options.method)):
        examinations.append(examination)
        print(end="" if options.json else render_examination(examination) + "\n", flush=True)
    print(json.dumps(as_json(examinations), indent=1, ensure_ascii=False) if options.json else say_sum(examinations))
    return OK if all(examination.passed for examination in examinations) else FAILED


def predict_command(options: argparse.Namespace) -> int:
    """Print what finished runs say of a text or a file of texts, as JSON lines."""
    from hf_peft_compare import finished_runs

    runs = [*([options.run] if options.run else []), *options.adapter]
    if not runs:
        raise UserError("predict got no run; give RUN, or --adapter RUN once or more.")
    _quieten()
    folders = [_run_folder(run, options.output_dir) for run in runs]
    asked = [(folder, _texts_of(folder, options)) for folder in folders]
    lines = (
        json.dumps(row, ensure_ascii=False) + "\n"
        for row in finished_runs.predict_each(asked, batch_size=options.batch_size)
    )
    if options.output is None:
        sys.stdout.writelines(lines)
    else:
        from hf_peft_compare.records import write_text_atomically

        write_text_atomically(options.output, "".join(lines))
    return OK


def _texts_of(folder: Path, options: argparse.Namespace) -> list[Any]:
    """Give what a run is asked: the one text, or from the file what its own data had in these columns."""
    from hf_peft_compare import finished_runs

    if options.text is not None:
        return [options.text]
    columns = [options.column] if options.column else finished_runs.text_columns(folder)
    return finished_runs.read_texts(options.file, columns)


def export_command(options: argparse.Namespace) -> int:
    """Write a finished run's model as a folder that peft or transformers loads, and push it if asked."""
    from hf_peft_compare import exporting

    _quieten()
    folder = _run_folder(options.run, options.output_dir)
    print(exporting.export_run(folder, options.folder, merge=options.merge, push_to_hub=options.push_to_hub))
    return OK


def _write_report(study: StudyConfig, folder: Path, target: Path | None) -> Comparison:
    """Print a study's table and write its report into `target`, or `report/` beside its runs; give the comparison."""
    from hf_peft_compare.comparison import compare
    from hf_peft_compare.comparison.console import render_table
    from hf_peft_compare.report import write_report

    records, predictions = _read_runs(folder)
    comparison = compare(records, predictions, expected_runs=study.runs)
    print(render_table(comparison))
    print(f"\nreport: {write_report(study, records, predictions, target or folder / 'report')}")
    return comparison


def _read_runs(folder: Path) -> tuple[dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    records = read_records(folder)
    return records, {run: list(read_predictions(folder / run)) for run in records}


def _study_folder(study: str, output_dir: Path) -> Path:
    """Find the folder of a study's runs, given as its name or as the folder itself."""
    for folder in (output_dir / study, Path(study)):
        if folder.is_dir() and any(folder.glob(f"*/{RECORD_FILE}")):
            return folder
    raise UserError(f"no records in {output_dir / study} or {study}; give a study that has run, or a folder of runs.")


def _print_configs(jobs: Sequence[Any]) -> int:
    """Print the resolved config of every run, each value with the layer that set it."""
    for job in jobs:
        print(f"{job.config.study}/{job.config.run}")
        values = _flatten(asdict(job.config))
        for key, layer in sorted(job.origins.items()):
            print(f"  {key} = {json.dumps(values.get(key), ensure_ascii=False)}  [{layer}]")
    return OK


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _quieten() -> None:
    """Keep what libraries say of themselves out of a command's output."""
    import warnings

    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _run_folder(run: str, output_dir: Path) -> Path:
    """Find a run given as `study/row-seed0` or as a folder."""
    for folder in (output_dir / run, Path(run)):
        if folder.is_dir():
            return folder
    raise UserError(
        f"no run {run!r}: neither {output_dir / run} nor {run} is a folder; give study/row-seed0 or a path."
    )


def _check_device(local_rank: str | None) -> None:
    """Refuse more processes than CUDA devices, before CUDA itself fails obscurely."""
    if local_rank is None:
        return
    import torch

    devices = torch.cuda.device_count()
    if devices and int(local_rank) >= devices:
        raise UserError(f"process {local_rank} has no GPU: there are {devices}; lower --num_processes to {devices}.")


def _words(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hf-peft-compare", description="Compare ways to adapt one pretrained model to one task."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "list", list_command, "the studies there are")

    run = _add(commands, "run", run_command, "do every run of a study, then its report")
    _add_study(run)
    run.add_argument("--method", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    run.add_argument("--seed", action="append", default=[], type=int, help="only this seed; repeatable")
    run.add_argument("--dry-run", action="store_true", help="print the resolved config of every run and stop")
    run.add_argument("--num-processes", type=_positive, metavar="N", help="processes per run (default: one per GPU)")
    run.add_argument("--accelerate-config", metavar="NAME", help="how they share a model: fsdp, …, or a file")
    run.add_argument("--one-run-per-gpu", action="store_true", help="runs side by side, one GPU each")

    train = _add(commands, "train", train_command, "do one run here, or under accelerate launch")
    _add_study(train)
    train.add_argument("--method", required=True, metavar="ROW", help="the row of the study")
    train.add_argument("--seed", type=int, default=0)

    plan = _add(commands, "plan", plan_command, "parameters, memory, FLOPs and time of a study before it runs")
    _add_study(plan)
    plan.add_argument("--method", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    plan.add_argument("--device", metavar="NAME", help="h200, a100, l4, t4 or cpu (default: what is here)")
    plan.add_argument("--calibrate", action="store_true", help="time a few steps on the device that is here")
    plan.add_argument("--json", action="store_true", help="print JSON, in bytes, seconds and FLOPs")

    doctor = _add(commands, "doctor", doctor_command, "check what silently ruins comparisons, before a study runs")
    _add_study(doctor)
    doctor.add_argument("--method", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    doctor.add_argument("--json", action="store_true", help="print JSON")

    job = _add(commands, "train-job", train_job_command, argparse.SUPPRESS)
    job.add_argument("job", type=Path)

    report = _add(commands, "report", report_command, "make a study's report again from its records")
    _add_study(report)
    report.add_argument("--to", type=Path, metavar="FOLDER", help="where the report goes (default: beside the runs)")

    choose = _add(commands, "choose", choose_command, "the row to take under a budget, from the records of studies")
    choose.add_argument("study", metavar="STUDY", nargs="+", help="the name of a study that has run, or its folder")
    choose.add_argument("--max-memory", metavar="SIZE", help="8GiB, 500MB: GPU memory of training, else the process's")
    choose.add_argument("--max-minutes", type=_number, metavar="N", help="of training")
    choose.add_argument("--max-checkpoint", metavar="SIZE", help="of the files that keep what was tuned")
    choose.add_argument("--max-latency", type=_number, metavar="SECONDS", help="of one call for one example")
    choose.add_argument("--min-quality", type=_number, metavar="X", help="of the ranking score (a loss: at most)")
    choose.add_argument("--mergeable", action="store_true", help="only what can become a plain transformers model")
    _add_output_dir(choose)

    predict = _add(commands, "predict", predict_command, "use finished runs on a text or a file")
    _add_run(predict, nargs="?")
    predict.add_argument("--adapter", action="append", default=[], metavar="RUN", help="a further run, of any study")
    source = predict.add_mutually_exclusive_group(required=True)
    source.add_argument("--text")
    source.add_argument("--file", type=Path, help="a .txt file (one text), or .jsonl, .csv, .parquet")
    predict.add_argument("--column", help="the file's column of texts (default: those of each run's study)")
    predict.add_argument("--batch-size", type=_positive, default=8, metavar="N")
    predict.add_argument("--output", type=Path, metavar="FILE", help="write JSON lines there instead of printing them")

    export = _add(commands, "export", export_command, "write a run's model for peft or transformers")
    _add_run(export)
    export.add_argument("folder", type=Path, metavar="FOLDER")
    export.add_argument("--merge", action="store_true", help="a plain transformers model instead of an adapter")
    export.add_argument("--push-to-hub", metavar="REPO", help="also upload it (needs `hf auth login`)")
    return parser


def _add(commands: Any, name: str, function: Callable[..., int], text: str) -> argparse.ArgumentParser:
    hidden = text is argparse.SUPPRESS
    parser = commands.add_parser(name) if hidden else commands.add_parser(name, help=text, description=text)
    parser.set_defaults(function=function)
    return parser


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a name of `list`, or a YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable"
    )
    _add_output_dir(parser)


def _add_run(parser: argparse.ArgumentParser, *, nargs: str | None = None) -> None:
    parser.add_argument("run", metavar="RUN", nargs=nargs, help="study/row-seed0, or the run's folder")
    _add_output_dir(parser)


def _add_output_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output-dir", type=Path, default=Path("runs"), metavar="FOLDER", help="where runs stand")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return value
