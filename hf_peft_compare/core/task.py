"""A task: how dataset rows become examples, how examples become model input, and which metrics score predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from typing_extensions import Required, TypedDict

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from hf_peft_compare.config.protocol import StudyProtocol

S = TypeVar("S")  # the dataclass of a task's settings

# A metric's name, or {its name: its settings}.
MetricChoice: TypeAlias = str | dict[str, dict[str, Any]]

# The prompt's text before the part that may be truncated, that part, and the text after it.
PromptParts: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message of a conversation.

    Args:
        role: "system", "user" or "assistant".
        learned: whether the loss covers it; only an assistant's turn can be learned.
    """

    role: str
    text: str
    learned: bool = False


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example as text: one or two source texts, and the reference, which is a text or a class name.

    Args:
        source_pair: the second text, or the path of the image that the text refers to.
        group: the kind of example; scores are also reported per group.
        cluster: examples with the same value are not independent, such as several questions on one image.
        earlier: the turns of a conversation before the source, which is the user's last turn; None: there are none.
        references: all correct texts if there are several; `reference` is the one that is learned.
    """

    id: str
    source: str
    reference: str
    source_pair: str | None = None
    group: str | None = None
    cluster: str | None = None
    earlier: tuple[Turn, ...] | None = None
    references: tuple[str, ...] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All that a model reads before the reference."""
        return (*(turn.text for turn in self.earlier or ()), self.source, self.source_pair or "")

    @property
    def scored(self) -> Example:
        """The example as it is tested: of a conversation, only the last turn has a loss."""
        if self.earlier is None:
            return self
        return replace(self, earlier=tuple(replace(turn, learned=False) for turn in self.earlier))


class Features(TypedDict, total=False):
    """An example as model input, before batching.

    The targets are either the last `num_completion_tokens` of `input_ids`, or the class `label`. A `loss_mask` has a 1
    for each of these tokens that is a target; without one, all are. Encoders may also take `token_type_ids`, image
    models the file `image`, and the layers above a frozen trunk its `trunk_states`.
    """

    input_ids: Required[list[int]]
    num_completion_tokens: int
    loss_mask: list[int]
    label: int
    token_type_ids: list[int]
    image: str | None
    trunk_states: Tensor


@dataclass(frozen=True, kw_only=True)
class Format:
    """How examples become model input, and how model output becomes a prediction.

    Args:
        key: JSON-serializable value of everything, except code, that determines the format.
        encode: `encode(example, tokenizer, max_length)` returns the features for training and scoring.
        encode_prompt: `encode_prompt(example, tokenizer, max_length)` returns the input_ids of the prompt to generate
            from; None: nothing is generated.
        read: `read(text)` parses a generated text and returns the prediction; None: the text itself.
        candidates: possible references; if given, the most likely one is the prediction, and no text is generated.
        labels: the class names, if they are derived from the examples; empty: the task's.
        metrics: names of additional metrics for outputs in this format.
        prompt: `prompt(example)` returns the parts of the prompt, without solved examples; None: there is no prompt.
        whole_prompt: `whole_prompt(example)` returns the parts of the prompt with solved examples before it.
        solved: the turns of solved examples before the prompt, in a chat.
        stop: the text that ends each solved example, and so an answer; None: eos alone, as in a chat.
        completion: `completion(example)` returns the target text after the prompt.
        conversation: whether examples are conversations, which are rendered as turns even without a chat template; the
            features then have a `loss_mask`.
    """

    key: object
    encode: Callable[[Example, PreTrainedTokenizerBase, int], Features]
    encode_prompt: Callable[[Example, PreTrainedTokenizerBase, int], list[int]] | None = None
    read: Callable[[str], str] | None = None
    candidates: Sequence[str] = ()
    labels: Sequence[str] = ()
    metrics: Sequence[str] = ()
    prompt: Callable[[Example], PromptParts] | None = None
    whole_prompt: Callable[[Example], PromptParts] | None = None
    solved: Sequence[Turn] = ()
    stop: str | None = None
    completion: Callable[[Example], str] | None = None
    conversation: bool = False


class Task(ABC, Generic[S]):
    """One family of tasks. Subclasses in the files of `hf_peft_compare/tasks/` are registered by name.

    Attributes:
        name: the key used in studies.
        title: the name in reports.
        settings: frozen dataclass of the settings under `task:` in a study.
        metrics: names of the metrics, the one used for ranking first.
        head: the head on top of the base, a key of `models.heads.HEADS`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    settings: type[S]
    metrics: ClassVar[Sequence[str]]
    head: ClassVar[str]

    @abstractmethod
    def examples(self, dataset: Dataset, settings: S) -> list[Example]:
        """Return the examples of a split; raise UserError for invalid rows."""

    @abstractmethod
    def format(self, settings: S) -> Format:
        """Return how examples become model input."""

    @abstractmethod
    def text_columns(self, settings: S) -> Sequence[str]:
        """Return the dataset columns of the source and, for pairs, of the second text."""

    def label_column(self, settings: S) -> str | None:
        """Return the label column, by which splits are stratified; None: the task has no labels."""
        return None

    def labels(self, settings: S) -> Sequence[str] | None:
        """Return the labels; None: references are free text."""
        return None

    def check(self, examples: Mapping[str, Sequence[Example]], settings: S) -> None:
        """Check the splits against each other; raise UserError for a problem that no single split shows.

        Args:
            examples: {split: its examples}.
        """

    def load(self, config: StudyProtocol) -> Mapping[str, Dataset] | None:
        """Return the splits of a dataset in the task's own layout; None: it is loaded with `datasets`."""
        return None

    def chosen_metrics(self, settings: S) -> Sequence[MetricChoice]:
        """Return the names of the metrics, or {name: settings}: those of the settings' `metrics`, if it has any."""
        return getattr(settings, "metrics", None) or self.metrics

    def complete(self, settings: S, train: Sequence[Example]) -> S:
        """Return the settings, completed from the train examples, e.g. with the classes."""
        return settings


AnyTask: TypeAlias = "Task[Any]"  # with any settings
