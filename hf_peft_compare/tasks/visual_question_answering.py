"""Visual question answering: questions about images, with the most frequent one-word answers of train as classes."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.config.protocol import StudyProtocol, local_path
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Features, Format, Task
from hf_peft_compare.data.columns import check_columns, row_ids, text_of
from hf_peft_compare.data.labels import check_labels
from hf_peft_compare.tasks.sequence_classification import UNKNOWN

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IMAGES_FOLDER, IMAGE_SUFFIXES = "images", (".jpg", ".jpeg", ".png")
ID_COLUMN = "id"  # of the rows' numbers, if the settings name none
IMAGE_COLUMN = "image"  # paths, derived from the image ids when the data is loaded
LAYOUT = (
    "Expected a folder with train.csv and test.csv, with the columns question, answer and image_id, and the images as "
    "images/<image_id>.jpg or .png."
)
# The type of a question by its opening words; the first match counts.
QUESTION_TYPES = {
    "number": r"how (many|much)\b",
    "color": r"(what|which)( (is|are|was|were))?( the)? colou?rs?\b",
    "location": r"where\b",
    "object": r"(what|which)\b",
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VisualQuestionAnsweringSettings:
    """Settings of visual question answering.

    Args:
        question_column, answer_column, image_column: names of the columns; the path of an image is images/<its id>.jpg.
        id_column: a column of row ids; if it is missing or None, rows are numbered.
        num_answers: number of classes: the most frequent one-word answers in train. Questions with other answers are
            left out.
        answers: the classes themselves; empty: they are derived from the data.
    """

    question_column: str = "question"
    answer_column: str = "answer"
    image_column: str = "image_id"
    id_column: str | None = "id"
    num_answers: Annotated[int, Field(ge=2)] = 30
    answers: list[str] = field(default_factory=list)


def load_questions(config: StudyProtocol) -> dict[str, Any]:
    """Load every CSV file of a folder as a split, reduced to the questions with the most frequent one-word answers.

    Raises:
        UserError: the folder or a column is missing, its layout is wrong, or there are too few one-word answers.
    """
    import datasets

    settings: VisualQuestionAnsweringSettings = config.task_settings
    folder = local_path(config.dataset)
    _check_layout(folder)
    splits = {path.stem: datasets.Dataset.from_list(_read_csv(path)) for path in sorted(folder.glob("*.csv"))}
    for name in {config.train_split, config.validation_split, config.test_split} & set(splits):
        check_columns(splits[name], settings, ("question_column", "answer_column", "image_column"))
    if config.train_split not in splits:
        return splits
    answers = settings.answers or frequent_answers(splits[config.train_split][settings.answer_column], settings)
    images = {
        path.stem: str(path) for path in (folder / IMAGES_FOLDER).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES
    }
    return {name: _reduced(split, settings, set(answers), images, folder) for name, split in splits.items()}


def _check_layout(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(
            f"folder {folder} does not exist, and this dataset cannot be downloaded automatically. Get DAQUAR "
            f"(Malinowski and Fritz 2014) from its authors at the Max Planck Institute for Informatics; its "
            f'questions are also on Kaggle as CSV, as "Processed DAQUAR". {LAYOUT} Or --set dataset=PATH.'
        )
    if not any(folder.glob("*.csv")) or not (folder / IMAGES_FOLDER).is_dir():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise UserError(f"folder {folder} holds {found}. {LAYOUT}")


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV in UTF-8: {error}") from None
    if not rows:
        raise UserError(f"{path} has no rows. {LAYOUT}")
    return [{str(key): value or "" for key, value in row.items()} for row in rows]


def frequent_answers(answers: Iterable[str], settings: VisualQuestionAnsweringSettings) -> list[str]:
    """Return the most frequent one-word answers, ties in alphabetical order.

    Raises:
        UserError: there are fewer than two.
    """
    counts = Counter(answer.strip() for answer in answers if len(answer.split()) == 1)
    if len(counts) < 2:
        raise UserError(
            f"train has {len(counts)} different one-word answers; expected two or more. Check task.answer_column "
            f"({settings.answer_column!r}): lists of answers and phrases are left out."
        )
    return sorted(counts, key=lambda answer: (-counts[answer], answer))[: settings.num_answers]


def _reduced(
    split: Any, settings: VisualQuestionAnsweringSettings, answers: set[str], images: Mapping[str, str], folder: Path
) -> Any:
    """Return the questions with these answers, each with the path of its image, even if the file is missing."""
    if not {settings.answer_column, settings.image_column} <= set(split.column_names):
        return split
    kept = [row for row, answer in enumerate(split[settings.answer_column]) if answer.strip() in answers]
    split = split.select(kept)
    names = split[settings.image_column]
    paths = [images.get(name, str(folder / IMAGES_FOLDER / f"{name}{IMAGE_SUFFIXES[0]}")) for name in names]
    ids = row_ids(split, settings.id_column) if settings.id_column in split.column_names else list(map(str, kept))
    columns = {settings.id_column or ID_COLUMN: ids, IMAGE_COLUMN: paths}
    for name, values in columns.items():
        split = (split.remove_columns(name) if name in split.column_names else split).add_column(name, values)
    return split


def questions(dataset: Dataset, settings: VisualQuestionAnsweringSettings) -> list[Example]:
    """Return the questions, images and answers of a split; the questions on one image are a cluster.

    Raises:
        UserError: a question is empty.
    """
    columns = (settings.question_column, IMAGE_COLUMN, settings.answer_column)
    ids = row_ids(dataset, settings.id_column or ID_COLUMN)
    rows = zip(ids, *(dataset[column] for column in columns), strict=True)
    return [
        Example(
            id=i,
            source=text_of(question, "question", i),
            source_pair=image,
            reference=answer.strip(),
            group=question_type(question),
            cluster=Path(image).stem,
        )
        for i, question, image, answer in rows
    ]


def question_type(question: str) -> str:
    """Return the type of a question by its opening words: object, number, color, location, or other."""
    words = " ".join(question.lower().split())
    return next((name for name, opening in QUESTION_TYPES.items() if re.match(opening, words)), "other")


def check_questions(examples: Mapping[str, Sequence[Example]], settings: VisualQuestionAnsweringSettings) -> None:
    """Check the labels of the splits as `check_labels` does, and that no image is missing or broken.

    Raises:
        UserError: a check fails; missing and broken images are counted and named.
    """
    from hf_peft_compare.models.features.images import check_images

    check_labels(examples, settings)
    check_images(example.source_pair for split in examples.values() for example in split if example.source_pair)


def visual_question_format(settings: VisualQuestionAnsweringSettings) -> Format:
    """Return the format of a question and its image, with the number of the answer as class."""

    def encode(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
        encoding = tokenizer(
            example.source, truncation=True, max_length=max_length, return_attention_mask=False, verbose=False
        )
        features = cast("Features", {name: list(ids) for name, ids in encoding.items()})
        known = example.reference in settings.answers
        label = settings.answers.index(example.reference) if known else UNKNOWN
        return {**features, "image": example.source_pair, "label": label}

    return Format(key=asdict(settings), encode=encode, labels=settings.answers)


def with_answers(
    settings: VisualQuestionAnsweringSettings, train: Sequence[Example]
) -> VisualQuestionAnsweringSettings:
    """Return the settings with the answers of the train examples, the most frequent first."""
    if settings.answers or not train:
        return settings
    found = frequent_answers((example.reference for example in train), settings)
    return replace(settings, answers=[*found, *answer_names(settings)[len(found) :]])


def answer_names(settings: VisualQuestionAnsweringSettings) -> list[str]:
    """Return the answers; before they are derived from the data, transformers' default class names."""
    return settings.answers or [f"LABEL_{number}" for number in range(settings.num_answers)]


class VisualQuestionAnswering(Task[VisualQuestionAnsweringSettings]):
    """Questions about images."""

    name = "visual_question_answering"
    title = "Visual question answering"
    head = "features"
    settings = VisualQuestionAnsweringSettings
    metrics = ("accuracy", "f1")

    def load(self, config: StudyProtocol) -> Mapping[str, Dataset]:
        """Return the CSV files of a folder as splits; raise UserError as `load_questions` does."""
        return load_questions(config)

    def examples(self, dataset: Dataset, settings: VisualQuestionAnsweringSettings) -> list[Example]:
        """Return the questions, their images and answers; raise UserError as `questions` does."""
        return questions(dataset, settings)

    def format(self, settings: VisualQuestionAnsweringSettings) -> Format:
        """Return the format of a question and its image, with the number of the answer as class."""
        return visual_question_format(settings)

    def text_columns(self, settings: VisualQuestionAnsweringSettings) -> list[str]:
        """Return the columns of the question and of its image path."""
        return [settings.question_column, IMAGE_COLUMN]

    def label_column(self, settings: VisualQuestionAnsweringSettings) -> str:
        """Return the answer column."""
        return settings.answer_column

    def labels(self, settings: VisualQuestionAnsweringSettings) -> list[str]:
        """Return the names of the answers."""
        return answer_names(settings)

    def check(self, examples: Mapping[str, Sequence[Example]], settings: VisualQuestionAnsweringSettings) -> None:
        """Check answers and images; raise UserError as `check_questions` does."""
        check_questions(examples, settings)

    def complete(
        self, settings: VisualQuestionAnsweringSettings, train: Sequence[Example]
    ) -> VisualQuestionAnsweringSettings:
        """Return the settings with the answers of the train examples."""
        return with_answers(settings, train)
