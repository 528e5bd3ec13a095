"""A task: how the rows of a data set become examples, examples become model input, and which metrics score it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from typing_extensions import Required, TypedDict

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from hf_peft_compare.config.schema import StudyProtocol

S = TypeVar("S")  # the dataclass of a task's settings

# The prompt's text before the part that may be cut, that part, and what comes after it.
PromptParts: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example as text: what the model reads, one text or two, and what it should write or which class it is.

    Args:
        source_pair: the second text, or the path of the image that the text is about.
        group: the kind of example it is, by which scores are shown apart.
    """

    id: str
    source: str
    reference: str
    source_pair: str | None = None
    group: str | None = None


class Features(TypedDict, total=False):
    """An example as model input, before it is batched.

    `num_completion_tokens` are predicted at the right end of `input_ids`, or the class `label` is; an encoder may read
    `token_type_ids`, a model of images the file `image`, and what lies above a frozen trunk its `trunk_states`.
    """

    input_ids: Required[list[int]]
    num_completion_tokens: int
    label: int
    token_type_ids: list[int]
    image: str | None
    trunk_states: Tensor


@dataclass(frozen=True, kw_only=True)
class Format:
    """How examples become model input, and model output a prediction.

    Args:
        key: JSON of all that decides it, beside the code.
        encode: `encode(example, tokenizer, max_length)` returns the features that a model is trained and scored on.
        encode_prompt: `encode_prompt(example, tokenizer, max_length)` returns the input_ids that a text is generated
            from; None: nothing is generated.
        read: `read(text)` returns the prediction that a generated text is taken for; None: the text itself.
        candidates: the references of which the likeliest is the prediction, in place of a generated text.
        labels: the names of the classes, where the examples tell them; empty: the task's.
        metrics: names of further metrics of outputs of this form.
        prompt: `prompt(example)` returns the parts of the prompt; None: no prompt is read.
        completion: `completion(example)` returns what is written after the prompt.
    """

    key: object
    encode: Callable[[Example, PreTrainedTokenizerBase, int], Features]
    encode_prompt: Callable[[Example, PreTrainedTokenizerBase, int], list[int]] | None = None
    read: Callable[[str], str] | None = None
    candidates: Sequence[str] = ()
    labels: Sequence[str] = ()
    metrics: Sequence[str] = ()
    prompt: Callable[[Example], PromptParts] | None = None
    completion: Callable[[Example], str] | None = None


class Task(ABC, Generic[S]):
    """One family of tasks. A subclass in a file of `hf_peft_compare/tasks/` is found by its name.

    Attributes:
        name: the key used in studies.
        title: the name in reports.
        settings: frozen dataclass of the settings under `task:` in a study.
        metrics: names of the metrics that score it, the ranking one first.
        head: the head on top of the base, a name of `models.heads.HEADS`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    settings: type[S]
    metrics: ClassVar[Sequence[str]]
    head: ClassVar[str]

    @abstractmethod
    def examples(self, dataset: Dataset, settings: S) -> list[Example]:
        """Return the examples of a split; raises UserError for bad rows."""

    @abstractmethod
    def format(self, settings: S) -> Format:
        """Return how examples become model input."""

    @abstractmethod
    def text_columns(self, settings: S) -> Sequence[str]:
        """Return the data set's columns of the source and, for pairs, its pair."""

    def label_column(self, settings: S) -> str | None:
        """Return the column by whose values splits are balanced; None: the task has no labels."""
        return None

    def labels(self, settings: S) -> Sequence[str] | None:
        """Return the labels; None: any text may be right."""
        return None

    def check(self, examples: Mapping[str, Sequence[Example]], settings: S) -> None:
        """Raise UserError for what no split alone shows.

        Args:
            examples: by split.
        """

    def load(self, config: StudyProtocol) -> Mapping[str, Dataset] | None:
        """Return the splits of a data set that is more than a table; None: it is loaded as any other."""
        return None

    def complete(self, settings: S, train: Sequence[Example]) -> S:
        """Return the settings with what the train examples add, such as the classes."""
        return settings


AnyTask: TypeAlias = "Task[Any]"  # of whatever settings
