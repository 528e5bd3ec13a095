"""Load the model of a finished run from its folder; several runs can share one loaded base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hf_peft_compare.config.identity import BASE_MODEL, TOKENIZER, Identity, changed_models, read_identity
from hf_peft_compare.config.protocol import BASE
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.models.heads import class_head, class_names, head_of
from hf_peft_compare.models.loading import load_base, load_tokenizer, prepare_base
from hf_peft_compare.models.quantization import quantization_of
from hf_peft_compare.models.trainable_parameters import hash_tensors
from hf_peft_compare.records.record import RunRecord, read_record
from hf_peft_compare.records.remote_runs import fetch_run
from hf_peft_compare.records.run_folder import MODEL_FOLDER, DamagedRun
from hf_peft_compare.utils.model_files import find_damage
from hf_peft_compare.utils.remote_code import trusting
from hf_peft_compare.utils.remote_folder import local_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OTHER_SIZES = ("size mismatch", "must match the size")  # torch's words on a parameter that does not fit


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A finished run, ready to use.

    Args:
        record: the measurements.
        config: the resolved config of the run.
        model: the adapted model in evaluation mode; None for a baseline without a model.
        tokenizer: the model's tokenizer, with the padding side of the run; None if there is no model.
    """

    record: RunRecord
    config: RunConfig
    model: Any
    tokenizer: Any


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A finished run whose folder is complete; its model is not loaded."""

    folder: Path
    record: RunRecord
    config: RunConfig

    @property
    def name(self) -> str:
        """Its study and its own name."""
        return f"{self.record.study}/{self.record.run}"

    @property
    def columns(self) -> list[str]:
        """The text columns, one or two, of the dataset that it was trained on."""
        return list(self.config.task_type.text_columns(self.config.task_settings))

    @property
    def base(self) -> tuple[object, ...]:
        """Everything that determines the base model; runs with equal values can share one.

        A class head is saved with the run that trained it, so the number of classes matters here, not their names.
        """
        config = self.config
        seed = config.seed if config.init == "config" else None  # random weights depend on the run's seed
        names = (*(getattr(config, key) for key in BASE if key != "architecture"), config.init)
        num_labels = None if self.labels is None else len(self.labels)
        loaded_as = (repr(quantization_of(config)), repr(sorted(config.architecture.items())), seed)
        return (*names, *loaded_as, head_of(config).name, num_labels)

    @property
    def labels(self) -> list[str] | None:
        """The classes of the run's class head, in order; None: the head generates text."""
        names = class_names(self.config)
        return names and list(self.record.provenance.labels or names)

    @property
    def train(self) -> list[Example]:
        """The train examples, if the method needs them for prediction; otherwise empty."""
        return load_examples(self.config)["train"] if self.config.method_type.reads_train else []


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base model, its tokenizer, and a copy of its class head, which runs replace by their own."""

    key: tuple[object, ...]
    model: Any
    tokenizer: Any
    head: Mapping[str, Tensor]


def load_run(folder: str | Path, *, trust_remote_code: bool = False) -> LoadedRun:
    """Load a finished run from its folder.

    Args:
        trust_remote_code: let its model run code of its own.

    Raises:
        UserError: the folder has no finished run, its model is missing, or its base model cannot be loaded.
    """
    run = read_finished(local_folder(folder))
    if not run.config.method_type.uses_model:
        return LoadedRun(record=run.record, config=run.config, model=None, tokenizer=None)
    with trusting(trust_remote_code):
        base = load_fresh_base(run)
        return LoadedRun(record=run.record, config=run.config, model=adapt(run, base), tokenizer=base.tokenizer)


def read_finished(folder: Path) -> FinishedRun:
    """Read a run's record; raise UserError unless it is finished, its model exists and its base is unchanged."""
    fetch_run(folder)
    record = read_record(folder)
    if not record.finished:
        raise UserError(f"run {record.study}/{record.run} in {folder} failed ({record.error}); run its study again.")
    run = FinishedRun(folder=folder, record=record, config=parse(RunConfig, record.config, where=str(folder)))
    if run.config.method_type.trains and not (folder / MODEL_FOLDER).is_dir():
        raise DamagedRun(f"{folder / MODEL_FOLDER} with the trained parameters of the run is missing", folder)
    _check_models(run)
    return run


def _check_models(run: FinishedRun) -> None:
    """Raise UserError if a local model was overwritten after the run was trained: its parameters no longer fit."""
    inputs = run.record.provenance.inputs
    begun = read_identity(run.folder) or Identity(config=run.record.config_hash, inputs=inputs)
    folders = {BASE_MODEL: run.config.model_name_or_path, TOKENIZER: run.config.tokenizer_name_or_path}
    for name in changed_models(run.config, begun):
        model = f"{name} in {folders[name]}" if name in folders else name
        raise UserError(
            f"the {model} is not the one that run {run.name} was trained on: its files have "
            f"changed. Restore the old files, or run the study again."
        )


def load_fresh_base(run: FinishedRun) -> Base:
    """Load a run's base model and tokenizer; random weights are drawn as in training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.config.seed)
        tokenizer = load_tokenizer(run.config)
        model: Any = load_base(run.config)
    prepare_base(model, tokenizer)
    if torch.cuda.is_available():
        model.to("cuda")
    head = {name: parameter.detach().clone() for name, parameter in class_head(model).items()}
    return Base(key=run.base, model=model.requires_grad_(False), tokenizer=tokenizer, head=head)


def adapt(run: FinishedRun, base: Base) -> Any:
    """Return a base with the run's trained parameters, in evaluation mode.

    Raises:
        UserError: the base has other sizes than that of the run, e.g. because a branch on the Hub has moved on.
        DamagedRun: the saved parameters cannot be loaded.
    """
    saved = run.folder / MODEL_FOLDER
    try:
        with torch.random.fork_rng(devices=[]):  # peft initializes an adapter before it loads the saved one
            model = run.config.method_type.load(base.model, saved, run.config.method_settings)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each method reads files of its own
        if not any(words in str(error) for words in OTHER_SIZES):
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            damage = find_damage(saved) or f"{kind}{' '.join(str(error).split())[:200]}"
            raise DamagedRun(f"{saved} cannot be read: {damage}", run.folder) from error
        raise UserError(
            f"the model {run.config.model_name_or_path} has other sizes than the base of run {run.name}: "
            f"{saved} does not fit it. Restore the old files, or run the study again; for a model of the Hub, set "
            f"model_revision."
        ) from error
    return model.eval()


def unload_adapter(model: PreTrainedModel, base: Base) -> str:
    """Remove an adapter from its base; return the hash of the base, which shows whether it is unchanged."""
    from peft import PeftModel
    from peft.utils import ModulesToSaveWrapper

    if isinstance(model, PeftModel) and hasattr(model.base_model, "unload"):
        tuner: Any = model.base_model
        tuner.unload()
    for name, module in list(base.model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):  # peft's prompt learning cannot remove its class head
            base.model.set_submodule(name, module.original_module)
    with torch.no_grad():
        for name, parameter in class_head(base.model).items():
            parameter.copy_(base.head[name])
    return hash_tensors(dict(base.model.named_parameters()))
