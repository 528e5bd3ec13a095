"""Everything that undoes a comparison, as sentences of the verdict: the only place that looks for it.

Each function yields sentences on one cause. `as_methods` tells whether rows may be called better as methods: not after
one seed, nor at learning rates that nobody chose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.class_answers import describe_one_answer
from hf_peft_compare.comparison.columns import most_side_by_side, ranking_column
from hf_peft_compare.comparison.intervals import FEW_EXAMPLES, TOO_FEW_SEEDS
from hf_peft_compare.comparison.rows import FAILED, MISSING, MethodRow, RunRow, rate_of
from hf_peft_compare.config.shared_rates import is_far
from hf_peft_compare.core.method import Value
from hf_peft_compare.core.registry import METHODS
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.utils.formatting import format_percent, format_rate, format_score, join_words, name_some, shorten

RATE = "training.learning_rate"
STILL_FALLING = (
    0.01  # the share of a validation loss that is no chance: by which it still fell, or exceeds that of a trial
)
FAR = 5.0  # standard deviations of a row's other seeds, or standard errors over examples
MOST_CUT = 0.1  # the share of truncated texts that is no cause for concern
MOST_NAMED = 20  # classes in a sentence
FEW_OF_A_CLASS = 15  # in simulations, intervals of F1 cover 70 to 92 % below
MOST_MORE_EPOCHS = 4  # times as many as were trained; a curve says nothing beyond


def untuned_rows(comparison: Comparison) -> list[MethodRow]:
    """Return the trained rows whose learning rate is a default: neither set for the study nor tuned."""
    return [row for row in _trained(comparison) if _origin(row) in ("default", "method") and not _record(row).tuning]


def as_methods(comparison: Comparison) -> bool:
    """Whether rows may be called better as methods: several seeds of each, and rates that were chosen."""
    return _fewest_seeds(comparison) > 1 and not untuned_rows(comparison)


def describe_caveats(comparison: Comparison) -> Iterator[str]:
    """Yield what undoes the comparison, the gravest first."""
    yield from _describe_failures(comparison)
    yield from _describe_collapses(comparison)
    yield from _describe_unmoved(comparison)
    yield from _describe_floors(comparison)
    yield from describe_one_answer(comparison.finished_rows, comparison.class_counts)
    yield from _describe_rates(comparison)
    yield from _describe_short_training(comparison)
    if elsewhere := [row.label for row in comparison.finished_rows if row.given]:
        yield f"Trained elsewhere, perhaps on examples of this test split, which is not known: {join_words(elsewhere)}."
    yield from _describe_labels(comparison)
    yield from _describe_data(comparison)
    yield from _describe_numbers(comparison)
    if (number := most_side_by_side(comparison)) > 1:
        yield f"Up to {number} runs were done side by side on a machine, so times are longer than those of runs alone."
    yield from comparison.disagreements


def _trained(comparison: Comparison) -> list[MethodRow]:
    return [row for row in comparison.finished_rows if not row.floor and not row.given and row.record is not None]


def _record(row: MethodRow) -> RunRecord:
    assert row.record is not None  # a finished row has one
    return row.record


def _fewest_seeds(comparison: Comparison) -> float:
    """Return the smallest number of finished seeds of the rows that depend on the seed; infinite without such rows."""
    return min((len(row.finished_runs) for row in comparison.finished_rows if row.seeded), default=math.inf)


def _origin(row: MethodRow) -> str | None:
    return _record(row).config_origins.get(RATE)


def _describe_failures(comparison: Comparison) -> Iterator[str]:
    incomplete = [
        f"{row.label} ({len(lost)} of {len(row.runs)} seeds {lost[0].status})"
        for row in comparison.rows
        if (lost := [run for run in row.runs if run.status in (FAILED, MISSING)])
    ]
    if incomplete:
        yield f"Incomplete: {', '.join(shorten(incomplete))}; means are those of the seeds that finished."


def _describe_unmoved(comparison: Comparison) -> Iterator[str]:
    """Yield the runs whose parameters did not change in training."""
    for run in (run for row in _trained(comparison) for run in row.finished_runs):
        hashes = run.record and (run.record.initial_trainables_sha256, run.record.final_trainables_sha256)
        if hashes and hashes[0] is not None and hashes[0] == hashes[1]:
            yield f"The trainable parameters of {run.run} did not change in training: nothing was learned."


def _describe_collapses(comparison: Comparison) -> Iterator[str]:
    """Yield the seeds that lie at a floor's score, or far from the row's other seeds: no interval foresees these."""
    score, column = str(comparison.ranking_score), ranking_column(comparison)
    sign = 1 if column.greater_is_better else -1
    floor = comparison.row(comparison.best_floor)
    for row in _trained(comparison):
        values = {run.seed: sign * run.figures[score] for run in row.finished_runs if score in run.figures}
        for seed, value in values.items():
            others = [other for key, other in values.items() if key != seed]
            if not others:
                continue
            gap, error = float(np.mean(others)) - value, _error_of_gap(row, seed)
            where = None
            if floor and value <= sign * floor.figures[score] < min(others) and gap > FAR * (error or 0):
                where = f"at {floor.label}'s score"
            elif error is not None and len(others) > 1 and gap > FAR * max(float(np.std(others, ddof=1)), error):
                where = "far from its other seeds"
            if where:
                yield (
                    f"Seed {seed} of {row.label} collapsed: {format_score(sign * value)}, {where}. Intervals assume "
                    f"normally distributed seeds and cover too little for this row; run more seeds."
                )


def _error_of_gap(row: MethodRow, seed: int) -> float | None:
    """Return the standard error, over examples, of a seed's distance from the others; None: scores are unknown."""
    if row.examples is None or len(row.examples.ids) < 2:
        return None
    place = [run.seed for run in row.finished_runs].index(seed)
    scores = row.examples.linear
    gaps = scores[place] - np.delete(scores, place, axis=0).mean(0)
    return float(gaps.std(ddof=1)) / math.sqrt(len(gaps))


def _describe_floors(comparison: Comparison) -> Iterator[str]:
    floor = comparison.row(comparison.best_floor)
    greater = ranking_column(comparison).greater_is_better
    if floor is None:
        return
    useless = []
    for row in _trained(comparison):
        pair = comparison.pair(row.row, floor.row)
        if pair is not None and pair.mean is not None:
            ahead = pair.mean > 0 if greater else pair.mean < 0
            useless += [] if pair.significant and ahead else [row.label]
    if useless:
        yield f"Not shown to be better than {floor.label}, which trains nothing: {join_words(useless)}."


def _describe_rates(comparison: Comparison) -> Iterator[str]:
    trained = _trained(comparison)
    edge = [row.label for row in trained if (tuning := _record(row).tuning) is not None and tuning.at_edge]
    if edge:
        yield f"The best learning rate is at the edge of all that were tried: {join_words(edge)} may do better beyond."
    unstable = [row.label for row in trained if any(map(_is_worse_than_a_trial, row.finished_runs))]
    if unstable:
        yield (
            f"A seed ended with a higher validation loss than a shorter trial of its search: {join_words(unstable)}. "
            f"Training is unstable at the rate found; a lower one may do better."
        )
    shared = [row for row in trained if _origin(row) in ("study", "command line")]
    if len({(_record(row).method, _default_rate(_record(row))) for row in shared}) > 1:
        rates = sorted({rate_of(_record(row)) for row in shared})
        far = [row.label for row in shared if _is_far_from_default(_record(row))]
        badly = f"; it suits {join_words(far)} badly" if far else ""
        yield (
            f"One learning rate, {', '.join(f'{rate:g}' for rate in rates)}, was set for "
            f"{join_words([row.label for row in shared])}{badly}: methods need different ones, so part of their "
            f"differences is due to the rate."
        )


def _is_worse_than_a_trial(run: RunRow) -> bool:
    """Whether a whole training ended well above the validation loss of a trial of its search that had fewer steps."""
    record = run.record
    if record is None or record.tuning is None or record.validation is None:
        return False
    shorter = [t.validation_loss for t in record.tuning.trials if t.steps is not None and t.validation_loss is not None]
    return bool(shorter) and record.validation.best_loss > (1 + STILL_FALLING) * min(shorter)


def _default_rate(record: RunRecord) -> Value:
    """Return the rate that a row of the record's method and settings starts at; None: its plugin is not loaded."""
    method = METHODS.entries.get(record.method)
    return None if method is None else method.defaults_with(record.config.get("method", {})).get("learning_rate")


def _is_far_from_default(record: RunRecord) -> bool:
    default = _default_rate(record)
    return isinstance(default, float) and is_far(rate_of(record), default)


def _describe_short_training(comparison: Comparison) -> Iterator[str]:
    """Yield the rows whose validation loss still fell at the end of every seed, and the epochs that it suggests."""
    falling: dict[str, float] = {}
    for row in _trained(comparison):
        found = [epochs_suggested(run.record) for run in row.finished_runs if run.record is not None]
        if found and all(epochs is not None for epochs in found):
            falling[row.label] = float(np.median([epochs for epochs in found if epochs is not None]))
    if falling:
        words = join_words([f"{label} (try about {epochs:.0f} epochs)" for label, epochs in falling.items()])
        yield f"Still learning when training ended, so they may do better: {words}."


def epochs_suggested(record: RunRecord) -> float | None:
    """Return the number of epochs after which the validation loss would fall by less than STILL_FALLING per evaluation.

    The drops of the last evaluations are continued as a geometric series. None: the loss had stopped falling, is 0,
    or was not finite in one of the last two.
    """
    evaluations = [entry for entry in record.history if entry.eval_loss is not None]
    losses = [entry.eval_loss for entry in evaluations if entry.eval_loss is not None]
    lowest = min(filter(math.isfinite, losses), default=math.nan)
    if len(losses) < 2 or not 0 < losses[-1] <= lowest:
        return None
    drop, wanted = losses[-2] - losses[-1], STILL_FALLING * losses[-1]
    if not wanted < drop < math.inf:
        return None
    epochs = evaluations[-1].epoch or float(len(losses))
    ratio = drop / (losses[-3] - losses[-2]) if len(losses) > 2 and losses[-2] < losses[-3] < math.inf else 1.0
    most = (MOST_MORE_EPOCHS - 1) * len(losses)
    more = most if ratio >= 1 else min(math.ceil(math.log(wanted / drop) / math.log(ratio)), most)
    return math.ceil(epochs * (1 + more / len(losses)))


def _describe_labels(comparison: Comparison) -> Iterator[str]:
    """Yield what the train labels are where they are not the dataset's, and who chose by validation on which."""
    told = {row.label: _record(row).provenance.train_labels for row in _trained(comparison)}
    labels = {label: facts for label, facts in told.items() if facts is not None}
    if not labels:
        return
    rows = []
    for label, facts in labels.items():
        known = "label accuracy unknown" if facts.accuracy is None else f"label accuracy {format_rate(facts.accuracy)}"
        rows.append(f"{label} ({known}{', random mistakes' if facts.use == 'noise' else ''})")
    yield f"Trained on labels that are not the dataset's: {join_words(rows)}."
    by_gold = [label for label, facts in labels.items() if facts.validation == "gold" and facts.use == "teacher"]
    if by_gold:
        yield f"Rates and states were chosen on validation labels of the dataset's own: {join_words(by_gold)}."


def _describe_data(comparison: Comparison) -> Iterator[str]:
    """Yield what is wrong with the data; rows may differ in their train examples, and in what is too long for them."""
    made = [_record(row).provenance for row in comparison.finished_rows]
    facts = max(made, key=lambda found: found.num_test_in_train or 0)
    train = facts.split_sources.get("train")
    cut = [name for name in ("validation", "test") if train and facts.split_sources.get(name) == train]
    if "test" in cut:
        yield f"The {facts.num_examples.get('test', 0):,} test examples were cut from {train}: a test split is missing."
    if facts.num_test_in_train:
        total = facts.num_examples.get("test", 0)
        yield f"{facts.num_test_in_train:,} of {total:,} test texts are in train as well: scores may be too good."
    dropped = {name: {found.num_dropped.get(name, 0) for found in made} for each in made for name in each.num_dropped}
    words = join_words([f"{'up to ' * (len(of) > 1)}{max(of):,} of {name}" for name, of in dropped.items() if any(of)])
    if words:
        yield f"Rows were left out because they are too long: {words}."
    yield from _describe_truncation(comparison)
    yield from _describe_rare_classes(comparison)


def _describe_truncation(comparison: Comparison) -> Iterator[str]:
    shares: dict[str, float] = {}
    for row in comparison.finished_rows:
        facts = _record(row).provenance
        found = [
            facts.num_cut[name] / number
            for name, number in facts.num_examples.items()
            if number and name in facts.num_cut
        ]
        if found and max(found) > MOST_CUT:
            shares[row.label] = max(found)
    if shares:
        words = join_words([f"{format_percent(round(share, 2))} of {label}" for label, share in shares.items()])
        yield f"Texts were truncated, in {words}: raise max_length, or their ends do not count."


def _describe_rare_classes(comparison: Comparison) -> Iterator[str]:
    rare = {name: number for name, number in comparison.class_counts.items() if number < FEW_OF_A_CLASS}
    if rare:
        words = name_some((f"{name} ({number})" for name, number in rare.items()), MOST_NAMED)
        yield f"Intervals of F1 cover too little with fewer than {FEW_OF_A_CLASS} test examples of a class: {words}."


def _describe_numbers(comparison: Comparison) -> Iterator[str]:
    """Yield the limitations due to the numbers of seeds and of test examples."""
    seeded = [row for row in comparison.finished_rows if row.seeded]
    fewest = _fewest_seeds(comparison)
    few = [row.label for row in seeded if len(row.finished_runs) == fewest]
    who = "Every row that depends on a seed has" if len(few) == len(seeded) else f"{join_words(few)} {_has(few)}"
    if fewest == 1:
        yield f"{who} one seed only: another seed may rank the methods differently."
    elif fewest <= TOO_FEW_SEEDS:
        yield f"{who} only two seeds: intervals may cover less than 95 %, and tests may give more false positives."
    examples = min((pair.interval.num_examples for pair in comparison.pairs if pair.interval.known), default=math.inf)
    if examples < FEW_EXAMPLES:
        yield f"With {examples} test examples, intervals and tests hold only if scores are nearly normally distributed."


def _has(labels: Sequence[str]) -> str:
    return "has" if len(labels) == 1 else "have"
