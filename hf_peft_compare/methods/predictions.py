"""A row for answers that were made elsewhere, by a model that is not here: a file of predictions, scored as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Card, Floor
from hf_peft_compare.core.settings import STRICT, LocalOrHub
from hf_peft_compare.core.task import Example

if TYPE_CHECKING:
    from hf_peft_compare.config.schema import RunConfig
    from hf_peft_compare.data.splits import Examples


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PredictionsSettings:
    """Settings of stored predictions.

    Args:
        predictions_from: a file (parquet, jsonl, json, csv) with a prediction for each test example, such as
            `predict --output` writes, or a run's predictions.jsonl. A prediction belongs to the example with the same
            text, or else with the same id.
        column: the file's column of predictions; None: `answer` if it is not the dataset's own, or else `prediction`.
            An empty one is a wrong answer if the task has labels, and otherwise an empty text.
        id_column: the file's column of ids: those of the dataset, or else the rows' numbers in their split, from 0.
    """

    predictions_from: LocalOrHub
    column: str | None = None
    id_column: str = "id"


class Predictions(Floor[PredictionsSettings]):
    """Answers from elsewhere."""

    name = "predictions"
    title = "Stored predictions"
    card = Card(
        idea="Answers of a model that ran elsewhere are scored beside the other rows, on the same test examples.",
        formula=r"y \text{ as it was stored}",
        parameter_count="not known",
        when_to_use=(
            "To set a model that cannot run here, such as a very large teacher, beside what is trained here, with "
            "intervals and paired tests. Its costs are not measured, and its training data are not known."
        ),
        paper="Wang et al. (2021), Want To Reduce Labeling Cost? GPT-3 Can Help",
        url="https://arxiv.org/abs/2108.13487",
    )
    settings = PredictionsSettings

    def files(self, settings: PredictionsSettings) -> Sequence[str]:
        """Return the file of predictions."""
        return (settings.predictions_from,)

    def predictor(self, settings: PredictionsSettings, train: Sequence[Example]) -> Callable[[str], str]:
        """Raise UserError: there are no answers but the stored ones."""
        raise UserError(
            f"a row of stored predictions has those of {settings.predictions_from} only, and no model that could "
            f"predict for other texts. Choose another run."
        )

    def answers(self, config: RunConfig, examples: Examples) -> list[str]:
        """Return the stored prediction for each test example; of a task with labels, `NO_ANSWER` where it is empty.

        Raises:
            UserError: the file cannot be read, or has no prediction for some, or is of other data.
        """
        from hf_peft_compare.data.answers import NO_ANSWER
        from hf_peft_compare.data.label_file import read_label_file

        settings = config.method_settings
        path = Path(settings.predictions_from)
        if not path.is_file():
            raise UserError(
                f"method {config.row}: predictions_from is {path}, which does not exist; pass "
                f"--set methods.{config.row}.predictions_from=PATH."
            )
        columns = {"column": settings.column, "id_column": settings.id_column}
        file = read_label_file(path, config.task_type, config.task_settings, **columns)
        test = examples["test"]
        found = file.find(
            [tuple(filter(None, (example.source, example.source_pair))) for example in test],
            examples.test_ids.read(),
            [example.reference for example in test],
            what="test texts",
            are_places=examples.test_ids.are_places,
        )
        return [NO_ANSWER if answer is None else answer for answer in found]
