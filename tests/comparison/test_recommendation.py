"""The recommended row under a budget, and the sentences if no row fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small import SCORES, compared, drawn, lines, record

from hf_peft_compare.cli.main import main
from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.recommendation import (
    Budget,
    choose,
    describe_choice,
    is_mergeable,
    parse_size,
    summarize_choices,
)
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.record import RunRecord, write_record
from hf_peft_compare.records.run_folder import write_predictions

MEANS = {"full": 0.6, "lora": 0.5, "prompt_tuning": 0.3}
SECONDS = {"full": 1200.0, "lora": 600.0, "prompt_tuning": 300.0}
BYTES = {"full": 10 * 10**9, "lora": 6 * 10**9, "prompt_tuning": 4 * 10**9}


def records_of(means: dict[str, float], **changes: Any) -> tuple[dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    values = drawn(means)
    records = {
        name: record(
            row := name.removesuffix("-seed0"),
            scores,
            seconds={"train": SECONDS[row]},
            memory={"train_peak_allocated_bytes": BYTES[row]},
            **changes,
        )
        for name, scores in values.items()
    }
    return records, {name: lines(scores) for name, scores in values.items()}


def study(means: dict[str, float] = MEANS, **changes: Any) -> Comparison:
    records, predictions = records_of(means, **changes)
    return compare(records, predictions, expected_runs=[(row, 0) for row in means])


def chosen(comparison: Comparison, **limits: Any) -> str | None:
    choice = choose(comparison, Budget(**limits))
    return choice.row.row if choice.row else None


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 * 2**30), ("8 GB", 8e9), ("500mb", 5e8), ("1.5KiB", 1536), (".5TB", 5e11), ("7B", 7)]
)
def test_sizes_are_read_with_their_units(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["8", "GiB", "-1GB", "0GB", "8 apples", "", "nanGB", "1e3MB"])
def test_an_invalid_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is not a size; expected a number above 0 with a unit, such as 8GiB"):
        parse_size(text)


def test_the_best_row_within_the_budget_is_chosen() -> None:
    assert chosen(study()) == "full"
    assert chosen(study(), max_memory_bytes=8e9) == "lora"
    assert chosen(study(), max_minutes=20) == "full" and chosen(study(), max_minutes=19) == "lora"
    assert chosen(study(), max_minutes=6) == "prompt_tuning"
    assert chosen(study(), max_minutes=6, mergeable=True) is None
    assert chosen(study(), max_memory_bytes=8e9, min_quality=0.4, mergeable=True) == "lora"


def test_where_lower_is_better_quality_is_a_ceiling() -> None:
    lower = study(scores={"f": {**SCORES["f"], "greater_is_better": False}})
    assert chosen(lower, min_quality=0.4) == "prompt_tuning"
    assert chosen(lower, min_quality=0.4, mergeable=True) is None


def test_the_costliest_seed_decides() -> None:
    records = {
        f"a-seed{seed}": record("a", [0.1, 0.3], seed=seed, seconds={"train": 60.0 * (1 + seed)}) for seed in (0, 1)
    }
    comparison = compare(records, {}, expected_runs=[("a", 0), ("a", 1)])
    assert chosen(comparison, max_minutes=1.6) is None and chosen(comparison, max_minutes=2) == "a"


def test_the_evidence_and_better_rows_beyond_the_budget_are_stated() -> None:
    sentences = "\n".join(describe_choice(choose(study(), Budget(max_memory_bytes=8e9))))
    assert "Recommended: LORA, with F 0.4" in sentences or "Recommended: LORA, with F 0.5" in sentences
    assert "10 min of training, 6,000 MB of GPU memory, 10 trained parameters." in sentences
    assert "FULL has a better mean but does not fit: its memory is 10,000 MB, 25 % over the limit." in sentences
    assert "for this seed only" in sentences


def test_a_rival_within_the_budget_is_named() -> None:
    close = study({"full": 0.5, "lora": 0.499, "prompt_tuning": 0.2})
    choice = choose(close, Budget())
    assert [row.row for row in choice.rivals] == [{"full": "lora", "lora": "full"}[choice.row.row]]  # type: ignore[union-attr]
    assert "also fits and may be the best: −0.0" in "\n".join(describe_choice(choice))


def test_within_a_margin_the_cheapest_is_taken_and_its_price_is_said() -> None:
    sizes = {"full": 1000, "lora": 10, "prompt_tuning": 1}
    values = drawn({"full": 0.52, "lora": 0.5, "prompt_tuning": 0.2})
    records = {name: record(name.split("-")[0], v, trainable=sizes[name.split("-")[0]]) for name, v in values.items()}
    given = {name: lines(v) for name, v in values.items()}
    comparison = compare(records, given, expected_runs=[(row, 0) for row in sizes])
    assert chosen(comparison) == "full"
    assert chosen(comparison, within=0.1) == "lora" and chosen(comparison, within=0.9) == "prompt_tuning"
    sentences = "\n".join(describe_choice(choose(comparison, Budget(within=0.1))))
    assert "It is the cheapest whose mean is within 0.1 of FULL's." in sentences
    assert "LORA trains 1 % as many parameters as FULL and is at most 0.0" in sentences


def test_a_limit_is_not_missed_by_the_rounding_of_a_mean() -> None:
    alike = compared({f"a-seed{seed}": [0.7] * 9 for seed in range(3)})
    assert alike.rows[0].figures["f"] < 0.7  # (.7 + .7 + .7) / 3
    assert chosen(alike, min_quality=0.7) == "a"
    near = compared({"a-seed1": [0.65, 0.65], "b-seed0": [0.63, 0.63]})
    assert near.rows[0].figures["f"] - near.rows[1].figures["f"] > 0.02
    assert chosen(near, within=0.02) == "b"  # which took less time


def test_a_limit_of_zero_has_no_share_that_is_missed() -> None:
    lower = {"f": {**SCORES["f"], "greater_is_better": False}}
    (sentence,) = describe_choice(choose(study({"full": 0.6}, scores=lower), Budget(min_quality=0.0)))
    assert sentence.endswith("but its F is 0.590, over the limit.")


def test_unknown_costs_of_what_ran_elsewhere_are_no_zeros() -> None:
    given = compared({"a-seed0": [0.6, 0.5]}, config={"method": {"name": "predictions", "predictions_from": "there"}})
    assert "; an unknown time of training, – MB of memory, – trained parameters." in next(
        describe_choice(choose(given, Budget()))
    )


def test_a_floor_has_nothing_to_merge() -> None:
    values = drawn({"lora": 0.3, "zero_shot": 0.5})
    trainable = {"lora": 10, "zero_shot": 0}
    records = {
        name: record(row, v, trainable=trainable[row]) for name, v in values.items() for row in [name.split("-")[0]]
    }
    comparison = compare(records, {n: lines(v) for n, v in values.items()}, expected_runs=[(r, 0) for r in trainable])
    assert chosen(comparison) == "zero_shot" and chosen(comparison, mergeable=True) == "lora"


def test_a_quality_limit_without_an_interval_is_reported() -> None:
    comparison = compare({"a-seed0": record("a", [0.1, 0.3])}, {}, expected_runs=[("a", 0)])
    assert "It has no interval, so it may miss 0.100" in "\n".join(
        describe_choice(choose(comparison, Budget(min_quality=0.1)))
    )


def test_a_quality_limit_within_the_interval_is_reported_as_uncertain() -> None:
    comparison = study()
    low = comparison.rows[0].intervals["f"].low
    assert low is not None
    sure, unsure = (
        "\n".join(describe_choice(choose(comparison, Budget(min_quality=q)))) for q in (low - 0.01, low + 0.001)
    )
    assert "it may miss that quality" in unsure and "it may miss that quality" not in sure


def test_if_no_row_fits_the_nearest_and_its_distance_are_stated() -> None:
    choice = choose(study(), Budget(max_memory_bytes=3e9))
    sentences = "\n".join(describe_choice(choice))
    assert choice.row is None and choice.nearest.row == "prompt_tuning"
    assert (
        sentences.startswith("No method fits. The nearest is PROMPT_TUNING")
        and "its memory is 4,000 MB, 33.3 % over" in sentences
    )


def test_nearest_is_who_misses_fewest_limits_before_who_misses_by_least() -> None:
    # full misses memory and time by a twentieth, lora misses quality by more
    choice = choose(study(), Budget(max_memory_bytes=9.5e9, max_minutes=19, min_quality=0.57))
    assert choice.row is None and choice.nearest.row == "lora"
    assert len(choice.missed["full"]) == 2 and len(choice.missed["lora"]) == 1


def test_an_unknown_cost_does_not_fit() -> None:
    comparison = compare({"a-seed0": record("a", [0.1, 0.2], seconds={})}, {}, expected_runs=[("a", 0)])
    choice = choose(comparison, Budget(max_minutes=5))
    assert choice.row is None and choice.missed["a"] == ["its training is unknown"]


def test_without_a_score_there_is_nothing_to_choose() -> None:
    with pytest.raises(UserError, match="nothing to choose from"):
        choose(compare({}, {}, expected_runs=[("a", 0)]), Budget())


@pytest.mark.parametrize(
    ("method", "config", "mergeable"),
    [
        ("lora", {}, True),
        ("full", {}, True),
        ("prompt_tuning", {"num_virtual_tokens": 20}, False),
        ("peft", {"peft_type": "IA3"}, True),
        ("peft", {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 20}, False),
    ],
)
def test_what_can_be_merged(method: str, config: dict[str, Any], mergeable: bool) -> None:
    made = record("a", [0.1, 0.2], method=method, config={"method": {"name": method, **config}})
    row = compare({"a-seed0": made}, {}, expected_runs=[("a", 0)]).rows[0]
    assert is_mergeable(row) is mergeable


def test_over_several_studies_the_row_that_is_good_in_most_is_named() -> None:
    other = study({"full": 0.3, "lora": 0.6, "prompt_tuning": 0.2})
    choices = [choose(comparison, Budget(max_memory_bytes=8e9)) for comparison in (study(), other)]
    assert summarize_choices(choices) == ("lora: recommended, or one of those that may be the best, in 2 of 2 studies.")


def write(folder: Path) -> None:
    records, predictions = records_of(MEANS)
    for run, made in records.items():
        write_record(made, folder / run)
        write_predictions(predictions[run], folder / run)


def test_the_command_reads_records_and_its_status_is_whether_a_row_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "study")
    place = ["--output-dir", str(tmp_path)]
    assert main(["choose", "study", "--max-memory", "8GB", "--max-minutes", "20", "--min-quality", ".3", *place]) == 0
    assert "Recommended: LORA" in capsys.readouterr().out
    assert main(["choose", "study", str(tmp_path / "study"), "--max-memory", "1GB"] + place) == 1
    assert "No method fits in any of the studies." in capsys.readouterr().out
    assert main(["choose", "study", "--max-memory", "8", *place]) == 2
    assert main(["choose", "other", *place]) == 2
    assert "pass a study that has run, or the folder of its runs" in capsys.readouterr().err
