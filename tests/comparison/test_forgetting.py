"""The change in tasks of lm-evaluation-harness: paired over documents, with the intervals of test scores."""

import pytest
from synthetic import make_record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.crossed_effects import estimate_difference, take_apart

KEY = "lm_eval_arc_easy_change"
UNTOUCHED = "1100110011001100"
TUNED = {0: "1100110010001000", 1: "1100100011001000", 2: "1000110011001001"}


def row_of(tuned, untouched=UNTOUCHED):
    records = {
        f"lora-seed{seed}": make_record(
            "lora", seed=seed, costs={"answers": {"arc_easy": {"tuned": bits, "untouched": untouched}}}
        )
        for seed, bits in tuned.items()
    }
    return compare(records, {}, expected_runs=[("lora", seed) for seed in tuned]).row("lora")


def numbers(*texts):
    import numpy as np

    return np.array([[int(bit) for bit in text] for text in texts], dtype=float)


def test_the_interval_is_that_of_paired_test_scores():
    row = row_of(TUNED)
    estimate = estimate_difference(take_apart(numbers(*TUNED.values())), take_apart(numbers(*[UNTOUCHED] * 3)))
    interval = row.intervals[KEY]
    assert row.figures[KEY] == pytest.approx(estimate.mean)
    assert (interval.low, interval.high) == pytest.approx(estimate.bounds())
    assert interval.scope == "over 16 documents and 3 seeds"


def test_one_seed_is_an_interval_for_this_seed_only():
    assert row_of({0: TUNED[0]}).intervals[KEY].scope == "over 16 documents, for this seed only"


def test_a_model_that_answers_as_its_base_has_no_interval_but_a_reason():
    row = row_of({0: UNTOUCHED})
    assert row.figures[KEY] == 0 and not row.intervals[KEY].known and row.intervals[KEY].reason


def test_seeds_that_answered_different_documents_are_not_averaged_over_them():
    records = {0: "1100", 1: "110011"}
    made = {
        f"lora-seed{seed}": make_record(
            "lora", seed=seed, costs={"answers": {"arc_easy": {"tuned": bits, "untouched": bits}}}
        )
        for seed, bits in records.items()
    }
    assert KEY not in compare(made, {}, expected_runs=[("lora", 0), ("lora", 1)]).row("lora").intervals
