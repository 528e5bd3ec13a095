"""The tree that is published: a folder per repository, whole and clean before anything is uploaded."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.inference.export import ADAPTER_CONFIG, Unmergeable, export_run
from hf_peft_compare.inference.loading import FinishedRun
from hf_peft_compare.inference.model_card import is_hub_id, loading_code
from hf_peft_compare.publishing.cards import dataset_card, model_repo_card, space_card
from hf_peft_compare.publishing.cleaning import clean_record, clean_study, scrubber_of, without_texts
from hf_peft_compare.publishing.leaks import VOCABULARIES, Scrubber
from hf_peft_compare.publishing.repositories import PublishOptions, Repository, folder_of, write_marker
from hf_peft_compare.publishing.usage import usage_code
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import PREDICTIONS_FILE, run_name
from hf_peft_compare.report.writing import write_report
from hf_peft_compare.results.result import Result
from hf_peft_compare.utils.hub_errors import HUB
from hf_peft_compare.utils.reading import read_text
from hf_peft_compare.utils.remote_code import load_auto

TEXT_FILES = (".json", ".jinja", ".txt", ".md", ".yaml")  # of an export


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the tree is made of.

    Args:
        result: the study as it is in its folder.
        clean: the study as it is published.
        scrubber: what replaces private texts.
    """

    result: Result
    clean: Result
    scrubber: Scrubber


def source_of(result: Result, options: PublishOptions, names: Mapping[str, str]) -> Source:
    """Return a study's result and what of it is published.

    Args:
        names: {private text: its kind}.
    """
    scrubber = scrubber_of(names, result.folder, options.hub_ids, redact=options.redact)
    clean = replace(
        result,
        study=clean_study(result.study, scrubber),
        records={
            run: clean_record(record, scrubber, with_texts=options.with_predictions)
            for run, record in result.records.items()
        },
        predictions={
            run: [scrubber.mapping(line) for line in lines] if options.with_predictions else without_texts(lines)
            for run, lines in result.predictions.items()
        },
    )
    return Source(result=result, clean=clean, scrubber=scrubber)


def write_tree(source: Source, options: PublishOptions, tree: Path) -> list[Repository]:
    """Write the folder of every repository; return them in the order of their upload.

    Raises:
        UserError: a model cannot be published.
    """
    models = [_write_model(source, options, row, tree) for row in options.models]
    records, page = _write_report(source, options, tree)
    for repository in (*models, records, page):
        write_marker(repository.folder, source.result.study.name)
    return [*models, records, page]


def _write_report(source: Source, options: PublishOptions, tree: Path) -> tuple[Repository, Repository]:
    """Write the records' repository and the Space with the page."""
    clean, study_file = source.clean, source.scrubber.text(source.result.study_text)
    records, space = (folder_of(tree, kind, options.to) for kind in ("dataset", "space"))
    write_report(clean.study, clean.records, clean.predictions, records, study_file=study_file)
    space.mkdir(parents=True)
    (records / "index.html").rename(space / "index.html")
    shutil.rmtree(records / "figures", ignore_errors=True)
    for name in ("tables.tex", "report.tex"):
        (records / name).unlink()
    if not options.with_predictions:
        for predictions in records.glob(f"records/*/{PREDICTIONS_FILE}"):
            predictions.unlink()
    card = dataset_card(clean.study, clean.comparison, options)
    (records / "README.md").write_text(card, encoding="utf-8")
    (space / "README.md").write_text(space_card(clean.study, options), encoding="utf-8")
    return (
        Repository(kind="dataset", repo_id=options.to, folder=records),
        Repository(kind="space", repo_id=options.to, folder=space),
    )


def best_seed(row: MethodRow) -> int:
    """Return the finished seed with the lowest validation loss: the test split chooses nothing."""
    return min(row.finished_runs, key=lambda run: run.figures.get("best_validation_loss", math.inf)).seed


def _write_model(source: Source, options: PublishOptions, name: str, tree: Path) -> Repository:
    """Export the best seed of a row, scrub its files, and write its card."""
    from transformers import AutoTokenizer

    row = source.clean.comparison.row(name)
    assert row is not None, "rows are checked before"
    run, repo_id = run_name(row=name, seed=best_seed(row)), options.models[name]
    record = source.clean.records[run]
    config = parse(RunConfig, record.config, where=run)
    folder = folder_of(tree, "model", repo_id)
    note = _export(source.result.folder / run, folder, config, merge=options.merge)
    for path in sorted(folder.rglob("*")):
        if path.suffix in TEXT_FILES and path.name not in VOCABULARIES:
            path.write_text(source.scrubber.text(read_text(path)), encoding="utf-8")
    plain = not (folder / ADAPTER_CONFIG).is_file()
    # A base's name on the Hub need not say of what kind it is, so code is written for the run as it was.
    ran = parse(RunConfig, source.result.records[run].config, where=run)
    labels = FinishedRun(folder=folder, record=record, config=ran).labels
    asked = usage_code(ran, load_auto(AutoTokenizer.from_pretrained, folder), labels=labels)
    usage = "\n\n".join(filter(None, [loading_code(ran, name=repo_id, plain=plain), asked]))
    card = model_repo_card(
        record,
        config,
        source.clean.comparison,
        options,
        plain=plain,
        usage=source.scrubber.text(usage),
        note=note,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    if options.benchmark_task is not None:
        _write_eval_results(source, record, config, options, folder)
    return Repository(kind="model", repo_id=repo_id, folder=folder, note=note)


def _export(run: Path, folder: Path, config: RunConfig, *, merge: bool) -> str:
    """Export a run, merged if that is asked for, or its base has random weights; return what its card says of that."""
    random = config.init == "config"
    if not (merge or random):
        export_run(run, folder, merge=False)
        return ""
    try:
        export_run(run, folder, merge=True)
        return "The base had random weights, so the whole model is here." if random else ""
    except Unmergeable:
        if random:
            raise UserError(
                f"{config.row} is an adapter of a base with random weights, which nobody else has, and it cannot be "
                f"merged into that base; publish another row."
            ) from None
    export_run(run, folder, merge=False)
    return f"{config.method_type.title} cannot be merged into its base, so this is an adapter."


def _write_eval_results(
    source: Source, record: RunRecord, config: RunConfig, options: PublishOptions, folder: Path
) -> None:
    """Write the ranking score in the form of the Hub's leaderboards.

    Source: https://huggingface.co/docs/hub/eval-results.

    Raises:
        UserError: the data set is not on the Hub, or not the whole test split was scored.
    """
    if not is_hub_id(config.dataset):
        raise UserError(f"--benchmark-task: the data set {config.dataset} is none of the Hub; leave the option out.")
    if config.num_test_samples is not None:
        raise UserError(
            f"--benchmark-task: {config.num_test_samples:,} test examples were scored, and a leaderboard compares "
            f"scores of the whole split; leave the option out, or run the study without num_test_samples."
        )
    score = str(source.clean.comparison.ranking_score)
    about = record.scores[score].title
    entry = {
        "dataset": {"id": config.dataset, "task_id": options.benchmark_task},
        "value": record.results[score],
        "date": (record.provenance.started_at or "")[:10],
        "source": {"url": f"{HUB}/datasets/{options.to}", "name": f"Study {record.study}"},
        "notes": f"{about}, {config.test_split} split, seed {record.seed}, hf_peft_compare",
    }
    if config.dataset_revision:
        entry["dataset"] = {**entry["dataset"], "revision": config.dataset_revision}  # type: ignore[dict-item]
    target = folder / ".eval_results" / f"{record.study}.yaml"
    target.parent.mkdir()
    target.write_text(yaml.safe_dump([entry], sort_keys=False, allow_unicode=True), encoding="utf-8")
