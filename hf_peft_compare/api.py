"""Compare methods from Python: what a notebook calls, and the command line too.

The folder of a study is the command line's: `output_dir="runs/tickets"` holds what `hf-peft-compare run
runs/tickets/study.yaml` goes on with, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.study import Study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import load_plugins
from hf_peft_compare.inputs.datasets import DatasetLike, named_or_splits, save_dataset, with_labels
from hf_peft_compare.inputs.methods import Methods, rows_of
from hf_peft_compare.inputs.models import ModelLike, save_model
from hf_peft_compare.inputs.tasks import TaskSettings
from hf_peft_compare.records.remote_runs import fetch_results
from hf_peft_compare.results.result import Result
from hf_peft_compare.utils.quiet import quiet
from hf_peft_compare.utils.remote_code import trusting
from hf_peft_compare.utils.remote_folder import local_folder

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hf_peft_compare.diagnostics.results import Diagnosis, Examination
    from hf_peft_compare.orchestration.place import PlaceOptions
    from hf_peft_compare.planning.plan_types import StudyPlan


def compare(
    model: ModelLike,
    dataset: DatasetLike,
    task: TaskSettings | str,
    methods: Methods,
    *,
    seeds: int | Sequence[int] = 3,
    tune: str | Mapping[str, object] | None = "auto",
    training: Mapping[str, object] | None = None,
    output_dir: str | Path = "runs/comparison",
    settings: Mapping[str, object] | None = None,
    trust_remote_code: bool = False,
    **place: Unpack[PlaceOptions],
) -> Result:
    """Train all methods on the same data through the same path, and return what was measured.

    Finished runs whose settings have not changed are not run again. After an interrupt the next call goes on. A run
    that fails leaves its error in `result.failures`, and the others go on.

    Args:
        model: a hub id, a folder, "embedded", or (model, tokenizer).
        dataset: a hub id, a path, "embedded", a DatasetDict, a table (Dataset, DataFrame, list of dicts), or
            {split: table}. Of an object without a validation or test split, a tenth of the rows is cut for each.
        task: such as `classification(text=…, label=…)`; its dictionary or its name will do.
        methods: names, {row: settings}, configs of peft, and Methods of your own. A Method that child processes cannot
            import, such as one of a notebook, is sent to them by cloudpickle, in a file below `output_dir`.
        seeds: their number, or the seeds.
        tune: "auto": find a learning rate for each trained method that has none given; or the budget of each method,
            e.g. "8 trials" or "30 minutes"; None: the settings are as given.
        training: settings of `hf_peft_compare.config.schema.TrainingConfig`, for all methods.
        output_dir: the study's folder, whose name is the study's, or a URL such as s3://bucket/tickets.
        settings: any further key of a study file, e.g. {"num_test_samples": 500, "max_length": 256}.
        trust_remote_code, place: as the options of `hf-peft-compare run`: num_processes, max_parallel,
            accelerate_config, executor, and executor_options, a mapping, see `PlaceOptions`.

    Raises:
        UserError: bad input, before anything was trained.

    Examples:
        >>> sizes = {"num_train_samples": 32, "num_validation_samples": 8, "num_test_samples": 8, "max_length": 256}
        >>> result = compare(
        ...     model="embedded", dataset="embedded", task=classification(labels=["gain", "loss", "neither"]),
        ...     methods=["majority", "last_layers"], training={"num_train_epochs": 1}, seeds=1, tune=None,
        ...     output_dir=folder / "o", settings=sizes)
        ✓ majority-seed0 Accuracy ...
        ✓ last_layers-seed0 Accuracy ...
        >>> result.outcomes
        {'majority-seed0': 'finished', 'last_layers-seed0': 'finished'}
    """
    given: Any = {"seeds": seeds, "tune": tune, "training": training, "output_dir": output_dir, "settings": settings}
    study = make_study(model, dataset, task, methods, **given)
    return run_study(study, output_dir=local_folder(output_dir).parent, trust_remote_code=trust_remote_code, **place)


def plan(
    model: ModelLike,
    dataset: DatasetLike,
    task: TaskSettings | str,
    methods: Methods,
    *,
    seeds: int | Sequence[int] = 3,
    tune: str | Mapping[str, object] | None = "auto",
    training: Mapping[str, object] | None = None,
    output_dir: str | Path = "runs/comparison",
    settings: Mapping[str, object] | None = None,
    device: str | None = None,
    calibrate: bool = False,
    num_processes: int | None = None,
    accelerate_config: str | None = None,
    trust_remote_code: bool = False,
) -> StudyPlan:
    """Return parameters, memory, FLOPs and time of the runs that `compare` would do; print it for a table.

    Args:
        device: "h200", "a100", "l4", "t4" or "cpu"; None: this machine's.
        calibrate: time a few steps on this machine's device.
        num_processes, accelerate_config, trust_remote_code: as the options of `hf-peft-compare plan`.

    Raises:
        UserError: bad input.

    Examples:
        >>> sizes = {"num_train_samples": 8, "num_validation_samples": 4, "num_test_samples": 4, "max_length": 256}
        >>> planned = plan(
        ...     "embedded", "embedded", "summarization", ["zero_shot", "lora"], settings=sizes, seeds=1,
        ...     output_dir=folder / "d")
        >>> [(run.row, run.trainable_params) for run in planned.runs]
        [('zero_shot', 0), ('lora', 65536)]
    """
    given: Any = {"seeds": seeds, "tune": tune, "training": training, "output_dir": output_dir, "settings": settings}
    study = make_study(model, dataset, task, methods, **given)
    with quiet(), trusting(trust_remote_code):
        how: Any = {"num_processes": num_processes, "accelerate_config": accelerate_config}
        return plan_of(study, device=device, calibrate=calibrate, **how)


def doctor(
    model: ModelLike,
    dataset: DatasetLike,
    task: TaskSettings | str,
    methods: Methods,
    *,
    seeds: int | Sequence[int] = 3,
    tune: str | Mapping[str, object] | None = "auto",
    training: Mapping[str, object] | None = None,
    output_dir: str | Path = "runs/comparison",
    settings: Mapping[str, object] | None = None,
    trust_remote_code: bool = False,
) -> Diagnosis:
    """Check what silently ruins comparisons, on the real model, before anything is trained; print it for a list.

    Raises:
        UserError: bad input.

    Examples:
        >>> sizes = {"num_train_samples": 8, "num_validation_samples": 4, "num_test_samples": 4, "max_length": 256}
        >>> found = doctor(
        ...     "embedded", "embedded", "summarization", ["lead", "lora"], settings=sizes,
        ...     output_dir=folder / "digests")
        >>> found.passed
        True
    """
    from hf_peft_compare.diagnostics.results import Diagnosis

    given: Any = {"seeds": seeds, "tune": tune, "training": training, "output_dir": output_dir, "settings": settings}
    study = make_study(model, dataset, task, methods, **given)
    with quiet(), trusting(trust_remote_code):
        return Diagnosis(examinations=tuple(examine_rows(study)))


def load(folder: str | Path, *, trust_remote_code: bool = False) -> Result:
    """Return the result in a study's folder, whoever ran it; its models may run code of their own if that is trusted.

    Raises:
        UserError: no records there, or one that cannot be read.

    Examples:
        >>> load(result.folder).study.name == result.folder.name
        True
    """
    here = local_folder(folder)
    fetch_results(here)
    return replace(Result.read(here), trusts_remote_code=trust_remote_code)


def make_study(
    model: ModelLike,
    dataset: DatasetLike,
    task: TaskSettings | str,
    methods: Methods,
    *,
    seeds: int | Sequence[int] = 3,
    tune: str | Mapping[str, object] | None = "auto",
    training: Mapping[str, object] | None = None,
    output_dir: str | Path = "runs/comparison",
    settings: Mapping[str, object] | None = None,
) -> Study:
    """Make the study that `compare` runs of its arguments, which say what each is; `to_yaml()` is its file.

    Raises:
        UserError: bad input.

    Examples:
        >>> study = make_study("gpt2", "tickets.csv", classification(labels=["a", "b"]), ["lora"], seeds=2)
        >>> study.config.name, study.config.seeds
        ('comparison', [0, 1])
    """
    folder = local_folder(output_dir)
    if not folder.name or folder.name == "..":
        raise UserError(f"output_dir is {str(output_dir)!r}; expected the folder of a study, e.g. runs/tickets.")
    rows, plugins = rows_of(methods, folder)
    load_plugins(plugins)
    data = named_or_splits(dataset)
    name, cut = save_dataset(data, folder)
    tree: dict[str, Any] = {
        "name": folder.name,
        "title": folder.name,
        "task": {"name": task} if isinstance(task, str) else dict(task),
        "dataset": name,
        **cut,
        "model_name_or_path": save_model(model, folder),
        "methods": rows,
        "seeds": _seeds(seeds),
        "tune": _tune(tune),
        **({} if training is None else {"training": dict(training)}),
        **({"plugins": plugins} if plugins else {}),
        **(settings or {}),
    }
    return Study.from_dict({**tree, "task": with_labels(tree["task"], data, tree)})


def _tune(tune: str | Mapping[str, object] | None) -> str | dict[str, object] | None:
    if isinstance(tune, str):
        return tune if tune == "auto" else {"budget": tune}
    return None if tune is None else dict(tune)


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
        return list(range(seeds))
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        return list(seeds)
    raise UserError(f"seeds is {seeds!r}; expected their number, such as 3, or a list of seeds, such as [0, 1, 2].")


def run_study(
    study: Study,
    *,
    output_dir: str | Path = "runs",
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    trust_remote_code: bool = False,
    **place: Unpack[PlaceOptions],
) -> Result:
    """Do all runs of a study, or those of some rows and seeds; return what was measured.

    Args:
        output_dir: the folder in which the study has one of its name.
        place: where and how runs are done, see `PlaceOptions`.

    Raises:
        UserError: bad input of any run, before anything was trained.
    """
    from hf_peft_compare.orchestration.place import place_of
    from hf_peft_compare.orchestration.study_run import do_study
    from hf_peft_compare.report.tracked_verdict import log_verdict

    folder = local_folder(output_dir)
    with trusting(trust_remote_code):
        where = place_of(place)
        outcomes = do_study(study, output_dir=folder, rows=rows, seeds=seeds, place=where)
    result = Result.read(folder / study.config.name, study=study.config, outcomes=outcomes)
    result = replace(result, trusts_remote_code=trust_remote_code)
    log_verdict(study.config.name, result.comparison, result.folder, study.config.tracking.report_to)
    return result


def plan_of(
    study: Study,
    *,
    rows: Sequence[str] = (),
    device: str | None = None,
    calibrate: bool = False,
    num_processes: int | None = None,
    accelerate_config: str | None = None,
) -> StudyPlan:
    """Return the plan of a study's runs, all or those of some rows, and of the tuning before them."""
    from hf_peft_compare.orchestration.accelerate_configs import find_accelerate_config
    from hf_peft_compare.planning.planner import plan_whole_study

    return plan_whole_study(
        study,
        rows,
        device=device,
        calibrate=calibrate,
        num_processes=num_processes,
        accelerate_config=None if accelerate_config is None else find_accelerate_config(accelerate_config),
    )


def examine_rows(study: Study, *, rows: Sequence[str] = ()) -> Iterator[Examination]:
    """Examine a study's rows, all or some, one after the other."""
    from hf_peft_compare.diagnostics.examining import examine
    from hf_peft_compare.planning.planner import configs_of

    return examine(configs_of(study, rows))
