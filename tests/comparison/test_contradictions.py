"""A record and the predictions beside it must say the same."""

from __future__ import annotations

from dataclasses import replace

from small import compared, lines, record

from hf_peft_compare.comparison import compare


def test_a_mean_that_the_predictions_contradict_is_told() -> None:
    values = [0.0, 1.0, 1.0, 0.0]
    honest, flattered = record("a", values), record("b", values)
    flattered = replace(flattered, results={**flattered.results, "f": 0.9})
    records = {"a-seed0": honest, "b-seed0": flattered}
    found = compare(records, dict.fromkeys(records, lines(values)), expected_runs=[("a", 0), ("b", 0)]).disagreements
    assert found == ("The record of b-seed0 contradicts its predictions: f is 0.9 in one and 0.5 in the other.",)


def test_agreeing_files_are_not_told_of() -> None:
    assert not [
        text for text in compared({"a-seed0": [0.1, 0.2], "a-seed1": [0.3, 0.7]}).disagreements if " f " in text
    ]
