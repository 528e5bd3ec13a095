"""The cards of what is published: README.md with the metadata that the Hub reads."""

from __future__ import annotations

from collections.abc import Sequence

from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.comparison.columns import cost_columns, main_scores, score_column
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.config.protocol import is_embedded
from hf_peft_compare.config.schema import RunConfig, StudyConfig
from hf_peft_compare.inference.model_card import (
    REPOSITORY,
    facts_of,
    hub_task,
    is_hub_id,
    metadata_of,
    ordered_results,
    with_metadata,
)
from hf_peft_compare.publishing.repositories import PublishOptions
from hf_peft_compare.publishing.templates import DATASET_CARD, MODEL_CARD, SPACE_CARD
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.utils.formatting import (
    UNKNOWN,
    format_count,
    format_interval,
    format_score,
)
from hf_peft_compare.utils.hub_errors import HUB
from hf_peft_compare.utils.markdown import plain_table


def dataset_card(study: StudyConfig, comparison: Comparison, options: PublishOptions) -> str:
    """Return the card of the repository with a study's records."""
    from huggingface_hub import DatasetCardData

    files = ["| `records/study.yaml` | the study |"]
    if options.with_predictions:
        files.append("| `records/RUN/predictions.jsonl` | one line per test example |")
    data = DatasetCardData(
        license=options.license,
        pretty_name=study.title,
        task_categories=[hub_task(study)],
        tags=[REPOSITORY, "peft", "benchmark-results"],
        size_categories=["n<1K" if len(comparison.runs) < 1_000 else "1K<n<10K"],
        configs=[{"config_name": "results", "data_files": "results.csv", "default": True}],
    )
    text = DATASET_CARD.format(
        title=study.title,
        description=study.description.strip(),
        repository=REPOSITORY,
        rows=len(comparison.rows),
        seeds=", ".join(map(str, study.seeds)),
        dataset=_dataset_name(study.dataset),
        verdict=_bullets(describe_verdict(comparison)),
        results=_rows_table(comparison),
        files="\n".join(files),
        id=options.to,
        hub=HUB,
    )
    return with_metadata(data, text)


def model_repo_card(
    record: RunRecord,
    config: RunConfig,
    comparison: Comparison,
    options: PublishOptions,
    *,
    plain: bool,
    usage: str,
    note: str,
) -> str:
    """Return the card of a run's model.

    Args:
        record, config: of the run, cleaned.
        plain: whether it is a plain transformers model; otherwise it is an adapter.
        usage: code that loads it and asks it something.
        note: what else to say about its form.
    """
    row = comparison.row(record.row)
    assert row is not None, "a run that trained is in the comparison"
    data = metadata_of(record, config, name=options.models[record.row], plain=plain)
    data.license = options.license
    for result in data.eval_results or []:
        result.source_name, result.source_url = f"Study {record.study}", f"{HUB}/datasets/{options.to}"
    text = MODEL_CARD.format(
        **facts_of(record, config),
        dataset=options.to,
        hub=HUB,
        chosen=_chosen(row),
        note=f" {note}" if note else "",
        examples=format_count(record.provenance.num_examples.get("test")),
        scope=next((found.scope for found in row.intervals.values() if found.known), "unknown"),
        results=_results_table(record, row),
        verdict=_bullets(describe_verdict(comparison)),
        others=_rows_table(comparison, this=record.row),
        costs=plain_table(["cost", "mean"], _costs(comparison, row)),
        usage=usage,
    )
    return with_metadata(data, text)


def space_card(study: StudyConfig, options: PublishOptions) -> str:
    """Return the card of the Space with the report's page."""
    from huggingface_hub import SpaceCardData

    data = SpaceCardData(
        title=study.title,
        emoji="⚖️",
        colorFrom="indigo",
        colorTo="blue",
        sdk="static",
        app_file="index.html",
        pinned=False,
        license=options.license,
        datasets=[options.to],
        models=list(options.models.values()) or None,
        tags=[REPOSITORY],
    )
    return with_metadata(data, SPACE_CARD.format(title=study.title, id=options.to, hub=HUB))


def _dataset_name(dataset: str) -> str:
    if is_embedded(dataset):
        return "data that is part of that package"
    return f"[{dataset}]({HUB}/datasets/{dataset})" if is_hub_id(dataset) else f"the data set {dataset}"


def _chosen(row: MethodRow) -> str:
    number = len(row.finished_runs)
    return f"which has the lowest validation loss of {number} seeds" if number > 1 else "the only finished seed"


def _results_table(record: RunRecord, row: MethodRow) -> str:
    """Return this run's scores beside the means over seeds and their intervals."""
    number = len(row.finished_runs)
    lines = [
        [
            record.scores[name].title or name,
            format_score(value),
            format_score(row.figures.get(name)),
            format_interval(row.intervals.get(name)),
        ]
        for name, value in ordered_results(record)
    ]
    return plain_table(["score", "this model", f"mean of {number} seed{'s' * (number != 1)}", "95 % interval"], lines)


def _rows_table(comparison: Comparison, this: str = "") -> str:
    """Return the main scores of all rows with their intervals, parameters and time; `this` row is bold."""
    columns = [score_column(comparison, name) for name in main_scores(comparison)]
    costs = [column for column in cost_columns(comparison) if column.key in ("trainable_params", "train_seconds")]
    titles = ["method", *(column.title for column in (*columns, *costs)), "seeds"]
    lines = []
    for row in comparison.finished_rows:
        label = f"**{row.label}**" if row.row == this else row.label
        scores = [_with_interval(row, column.key) for column in columns]
        lines.append(
            [
                label,
                *scores,
                *(column.write(row.figures.get(column.key)) for column in costs),
                str(len(row.finished_runs)),
            ]
        )
    return plain_table(titles, lines)


def _with_interval(row: MethodRow, score: str) -> str:
    interval = format_interval(row.intervals.get(score))
    mean = format_score(row.figures.get(score))
    return mean if interval == UNKNOWN else f"{mean} ({interval})"


def _costs(comparison: Comparison, row: MethodRow) -> list[list[str]]:
    return [
        [column.title, column.write(row.figures.get(column.key))]
        for column in cost_columns(comparison)
        if column.key in row.figures
    ]


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
