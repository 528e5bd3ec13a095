"""The settings that all runs of a study share, as a typed dataclass: every key with its default and its meaning."""

from __future__ import annotations

from dataclasses import field, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.config.labels_from import LabelsFrom
from hf_peft_compare.config.layers import Tree
from hf_peft_compare.config.tracking import TrackingConfig
from hf_peft_compare.config.training import GenerationConfig, TrainingConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.registry import choose_metrics, get_task
from hf_peft_compare.core.settings import STRICT, LocalOrHub, NonNegativeInt, PositiveInt, Seed, parse_settings
from hf_peft_compare.core.task import AnyTask
from hf_peft_compare.utils.base_kinds import is_encoder_decoder, saved_fields

EMBEDDED = "embedded"  # the value of `dataset` and `model_name_or_path` for the data and model in this package
BASE = ("model_name_or_path", "model_revision", "gguf_file", "tokenizer_name_or_path", "architecture")
NESTED = {"training": TrainingConfig, "labels_from": LabelsFrom}  # a row may override parts of them
# The study settings that a row may override.
ROW_PROTOCOL = ("num_train_samples", "labels_from", "max_length", "prompt_format", "system_prompt", *BASE)


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyProtocol:
    """The settings that all runs of a study share.

    Args:
        task: the task's `name` and its settings.
        dataset: a Hub id, a local folder or file (parquet, jsonl, json, csv), "embedded", or "embedded/statements".
        dataset_config: the dataset's config name on the Hub; ignored for a local dataset.
        dataset_revision, model_revision: a branch, tag or commit on the Hub; None: the newest.
        train_split, validation_split, test_split: names of the dataset's splits. A validation or test split with the
            name of the train split is cut from it: `num_…_samples` rows, seeded, and stratified by label if the task
            has labels. A single table without splits is cut so too if these names are left at their defaults.
        num_train_samples, num_validation_samples, num_test_samples: split sizes; None: the whole split. 0 validation
            examples are enough if no method of the study trains.
        balanced_train_samples: choose the train examples so that their labels are as balanced as the data allows.
        labels_from: a teacher whose labels the train texts get in place of the dataset's; None: the dataset's.
        cluster_column: a column of the dataset; rows with the same value in it are not independent, such as several
            questions on one text.
        data_seed: seed for choosing the examples, the same for every run of the study.
        model_name_or_path: a Hub id, a local folder, or "embedded".
        gguf_file: a file in the folder or repository of `model_name_or_path` that has config, weights and tokenizer in
            the format of llama.cpp; the weights are dequantized. None: the base is in transformers' own files.
        init: "pretrained", or "config": the architecture with random weights.
        architecture: fields that override the config of `model_name_or_path`; with `model_type` among them,
            `init: config` needs no download.
        attn_implementation: "sdpa" uses the fastest kernel that torch has for a batch, "flex_attention" (GPU only)
            skips masked positions, "eager" is slow and uses the most memory; None: transformers' choice, sdpa if the
            model supports it. The flash-attn package supports half precision only, and evaluation is in float32.
        tokenizer_name_or_path: a Hub id or a local folder; None: the model's own tokenizer.
        prompt_format: how a base that writes reads its prompts: "chat", as messages in its tokenizer's own template,
            with the loss on the assistant's turn; "text", as they are; "auto": as messages if there is a template.
        system_prompt: the system's message of a chat; None: the template's own, if it has one.
        max_length: maximum number of tokens of prompt, text and completion together, including virtual tokens; of an
            encoder-decoder too, so that it reads as much as a causal LM.
        max_dropped_share: largest share of the train and validation rows, each, that are left out because their
            completion does not fit into `max_length`; test rows are never left out.
        costs: measure latency, merging and forgetting of each run's model after scoring.
        lm_eval: tasks of lm-evaluation-harness with choices, such as hellaswag, that each run's model and its untouched
            base answer after scoring: what was forgotten. [] for none.
        lm_eval_limit: the number of documents of each of these tasks, the first ones; None: all.
        lm_eval_include_path: a local folder with task files of one's own, as of the harness's `--include_path`.
        training: how rows are trained, of all rows that do not set it themselves.
        generation: how test outputs are generated.
        tracking: what runs are logged to.
    """

    task: Tree
    dataset: LocalOrHub
    dataset_config: str | None = None
    dataset_revision: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    num_train_samples: PositiveInt | None = None
    num_validation_samples: NonNegativeInt | None = None
    num_test_samples: PositiveInt | None = None
    balanced_train_samples: bool = False
    labels_from: LabelsFrom | None = None
    cluster_column: str | None = None
    data_seed: Seed = 0
    model_name_or_path: LocalOrHub
    model_revision: str | None = None
    gguf_file: str | None = None
    init: Literal["pretrained", "config"] = "pretrained"
    architecture: Tree = field(default_factory=dict)
    attn_implementation: str | None = None
    tokenizer_name_or_path: LocalOrHub | None = None
    prompt_format: Literal["auto", "chat", "text"] = "auto"
    system_prompt: str | None = None
    max_length: PositiveInt = 512
    max_dropped_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    costs: bool = True
    lm_eval: list[str] = field(default_factory=list)
    lm_eval_limit: PositiveInt | None = None
    lm_eval_include_path: LocalOrHub | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @cached_property
    def task_type(self) -> AnyTask:
        """The task."""
        return get_task(self.task["name"])

    @cached_property
    def task_settings(self) -> Any:
        """The task's settings as its own frozen dataclass; raise UserError if two of its columns are the same."""
        settings = parse_settings(self.task_type.settings, self.task, "task")
        columns: dict[str, str] = {}
        for key, column in vars(settings).items():
            if key.endswith("_column") and key != "id_column" and column is not None:
                if column in columns:
                    raise UserError(f"task.{columns[column]} and task.{key} are both {column!r}; expected two columns.")
                columns[column] = key
        return settings

    @cached_property
    def metrics(self) -> list[Metric]:
        """The metrics of the task, the one used for ranking first; raise UserError as `choose_metrics` does."""
        return choose_metrics(self.task_type.chosen_metrics(self.task_settings))

    @property
    def train_choice(self) -> tuple[int | None, LabelsFrom | None]:
        """What rows of a study may choose of their data: the size and the labels of train; they share all else."""
        return self.num_train_samples, self.labels_from

    @cached_property
    def is_encoder_decoder(self) -> bool:
        """Whether the base has an encoder, which reads the prompt, and a decoder, which writes the completion."""
        if "model_type" in self.architecture:
            return is_encoder_decoder(self.architecture)
        if self.model_name_or_path == EMBEDDED:
            return False
        return is_encoder_decoder({**saved_fields(self.model_name_or_path, self.model_revision), **self.architecture})

    @property
    def head_name(self) -> str:
        """The head on top of the base, a key of `models.heads.HEADS`: the task's head."""
        return self.head_of_base(self.task_type.head)

    def head_of_base(self, head: str) -> str:
        """Return a head as this base has it: an encoder-decoder writes with a head of its own."""
        return "seq2seq_lm" if head == "causal_lm" and self.is_encoder_decoder else head

    def __getstate__(self) -> Tree:
        """Return the fields only; cached properties are computed again after unpickling."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def is_embedded(name: str) -> bool:
    """Return whether a dataset or a base is in this package: "embedded", or "embedded/…"."""
    return name.split("/")[0] == EMBEDDED


def local_path(dataset: str) -> Path:
    """Return the path of a dataset if it is local; "embedded/…" is a folder inside this package.

    Raises:
        UserError: "embedded/…" leads out of the package.
    """
    if not dataset.startswith(f"{EMBEDDED}/"):
        return Path(dataset)
    package = Path(__file__).parents[1] / "quickstart"
    path = (package / dataset.removeprefix(f"{EMBEDDED}/")).resolve()
    if not path.is_relative_to(package.resolve()):
        raise UserError(f"dataset {dataset!r} is not in this package; expected embedded, or embedded/statements.")
    return path
