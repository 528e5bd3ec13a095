"""What undoes a comparison is found and said; a sound comparison has none of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import SCORES, compared, drawn, lines, record

from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.caveats import describe_caveats, epochs_suggested, untuned_rows
from hf_peft_compare.comparison.columns import main_columns
from hf_peft_compare.records.parts import Provenance

RATE = {"training": {"learning_rate": 5e-5}}


def said(comparison: Comparison) -> str:
    return "\n".join(describe_caveats(comparison))


def study(values: dict[str, list[float]], *, floors: str = "", by_row: dict[str, Any] | None = None) -> Comparison:
    """Compare runs; `floors` are the rows that train nothing, `by_row` the fields of their records."""
    records = {}
    for name, scores in values.items():
        row, seed = name.split("-seed")
        fields = {"seed": int(seed), "trainable": 0 if row in floors else 10, **(by_row or {}).get(row, {})}
        records[name] = record(row, scores, **fields)
    given = {name: lines(scores) for name, scores in values.items()}
    return compare(records, given, expected_runs=[(found.row, found.seed) for found in records.values()])


def test_a_sound_comparison_has_no_caveats() -> None:
    assert said(compared(drawn({"a": 0.6, "b": 0.4}, num_seeds=3))) == ""


def test_runs_side_by_side_mark_times_and_are_said() -> None:
    beside = {"a": {"provenance": Provenance(side_by_side=2)}, "b": {"provenance": Provenance(side_by_side=1)}}
    comparison = study(drawn({"a": 0.6, "b": 0.4}, num_seeds=3), by_row=beside)
    assert "Up to 2 runs were done side by side on a machine, so times" in said(comparison)
    assert "Runs differ in number of runs side by side: 2 (a-seed0, a-seed1, a-seed2); 1 (b-seed0" in said(comparison)
    assert "Train time (s, 2 runs side by side)" in {column.title for column in main_columns(comparison)}


def test_times_and_memory_of_unlike_machines_are_marked_and_said() -> None:
    machines = {
        "a": {"provenance": Provenance(device="NVIDIA H200")},
        "b": {"provenance": Provenance(device="NVIDIA L4")},
    }
    comparison = study(drawn({"a": 0.6, "b": 0.4}, num_seeds=3), by_row=machines)
    assert "Runs differ in device: NVIDIA H200 (a-seed0, a-seed1, a-seed2); NVIDIA L4 (b-seed0" in said(comparison)
    titles = {column.title for column in main_columns(comparison)}
    assert {"Train time (s, unlike devices)", "Peak GPU memory (MB, unlike devices)"} <= titles


def test_a_record_that_knows_less_of_its_machine_is_no_unlike_one() -> None:
    made = {"a": {"provenance": Provenance(device="CPU")}, "b": {"provenance": Provenance(device="CPU", processor="X")}}
    comparison = study(drawn({"a": 0.6, "b": 0.4}, num_seeds=3), by_row=made)
    assert "Train time (s)" in {column.title for column in main_columns(comparison)}


def test_failed_and_missing_seeds_are_said_first() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    records = {name: record(name[0], scores, seed=int(name[-1])) for name, scores in values.items()}
    records["b-seed1"] = record("b", [], seed=1, status="failed", error="boom", results={})
    del records["a-seed2"]
    given = {name: lines(values[name]) for name in records if records[name].finished}
    comparison = compare(records, given, expected_runs=[(row, seed) for row in "ab" for seed in range(3)])
    assert said(comparison).startswith("Incomplete: A (1 of 3 seeds missing), B (1 of 3 seeds failed); means are those")


def test_training_that_changed_nothing_is_named() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    same = {"initial_trainables_sha256": "aa" * 32, "final_trainables_sha256": "aa" * 32}
    assert "of a-seed1 did not change in training: nothing" in said(study(values, by_row={"a": same}))
    moved = {**same, "final_trainables_sha256": "bb" * 32}
    assert "did not change" not in said(study(values, by_row={"a": moved}))


def test_a_seed_at_the_floors_score_collapsed() -> None:
    values = drawn({"a": 0.8}, num_seeds=3) | {"z-seed0": drawn({"z": 0.4})["z-seed0"]}
    values["a-seed1"] = [value - 0.45 for value in values["a-seed1"]]
    assert "Seed 1 of A collapsed: 0.3" in said(study(values, floors="z"))
    assert "at Z's score" in said(study(values, floors="z"))


def test_a_seed_below_the_floor_is_no_collapse_where_the_others_are_hardly_above_it() -> None:
    values = drawn({"a": 0.3}, num_seeds=3) | {"z-seed0": drawn({"z": 0.3})["z-seed0"]}
    for name, mean in {"a-seed0": 0.281, "a-seed1": 0.265, "a-seed2": 0.275, "z-seed0": 0.267}.items():
        values[name] = [value + mean - float(np.mean(values[name])) for value in values[name]]
    assert "collapsed" not in said(study(values, floors="z"))


def test_a_seed_far_from_the_others_collapsed_and_usual_ones_did_not() -> None:
    values = drawn({"a": 0.8}, num_seeds=5, seed_spread=0.01)
    assert "collapsed" not in said(study(values))
    values["a-seed3"] = [value - 0.3 for value in values["a-seed3"]]
    assert "Seed 3 of A collapsed" in said(study(values)) and "far from its other seeds" in said(study(values))


def test_a_trained_row_that_is_no_better_than_the_floor_is_named() -> None:
    values = drawn({"a": 0.6, "b": 0.4, "z": 0.4}, num_seeds=3)
    assert "Not shown to be better than Z, which trains nothing: B." in said(study(values, floors="z"))


def test_what_was_trained_elsewhere_may_know_the_test_examples_and_has_no_rate_of_ours() -> None:
    config = {"method": {"name": "checkpoint", "checkpoint": "there"}}
    comparison = compared({"given-seed0": [0.5, 0.4], "given-seed1": [0.5, 0.4]}, config=config)
    (said,) = (caveat for caveat in describe_caveats(comparison) if "elsewhere" in caveat)
    assert said == "Trained elsewhere, perhaps on examples of this test split, which is not known: GIVEN."
    assert not untuned_rows(comparison)


def test_one_rate_for_several_methods_is_named() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    given = {"config": RATE, "config_origins": {"training.learning_rate": "study"}}
    real = {"a": {**given, "method": "full"}, "b": {**given, "method": "prompt_tuning"}}
    assert "One learning rate, 5e-05, was set for A and B; it suits B badly" in said(study(values, by_row=real))
    own = {**given, "config_origins": {"training.learning_rate": "study method"}}
    assert "One learning rate" not in said(
        study(values, by_row={row: {**fields, **own} for row, fields in real.items()})
    )


def test_one_rate_for_several_types_of_peft_is_named() -> None:
    shared = {"method": "peft", "config_origins": {"training.learning_rate": "study"}}
    real = {
        row: {**shared, "config": {**RATE, "method": {"name": "peft", "peft_type": kind}}}
        for row, kind in {"a": "OSF", "b": "IA3"}.items()
    }
    found = said(study(drawn({"a": 0.6, "b": 0.4}, num_seeds=3), by_row=real))
    assert "One learning rate, 5e-05, was set for A and B; it suits B badly" in found


def test_a_best_rate_at_the_edge_of_all_tried_is_named() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    found = said(study(values, by_row={"a": {"tuning": tuned(at_edge=True)}}))
    assert "at the edge of all that were tried: A may do better" in found


def tuned(*trials: dict[str, Any], at_edge: bool = False) -> dict[str, Any]:
    return {
        "budget": "1.5 × one training",
        "space": {},
        "widened": None,
        "best_settings": {"training.learning_rate": 1e-2},
        "at_edge": at_edge,
        "seconds": 1.0,
        "trials": list(trials),
    }


@pytest.mark.parametrize(("loss", "steps", "unstable"), [(1.006, 264, True), (1.2, 264, False), (1.006, None, False)])
def test_a_training_that_ends_worse_than_a_shorter_trial_is_unstable(loss: float, steps: int, unstable: bool) -> None:
    """A trial without steps of its own was as long as the training: the best of several is lower by chance."""
    trial = {"settings": {}, "validation_loss": loss, "validation_losses": [loss], "seconds": 1.0, "error": None}
    record = {
        "tuning": tuned({**trial, "steps": steps}),
        "validation": {"best_loss": 1.098, "best_step": 375, "best_epoch": 1.0},
    }
    found = said(study(drawn({"a": 0.6, "b": 0.4}, num_seeds=3), by_row={"a": record}))
    assert ("than a shorter trial of its search: A. Training is unstable" in found) == unstable


def curve(*losses: float) -> list[dict[str, Any]]:
    return [{"step": 10 * i, "epoch": float(i), "eval_loss": loss} for i, loss in enumerate(losses, start=1)]


@pytest.mark.parametrize(
    ("losses", "epochs"),
    [
        ((2.0, 1.5, 1.25), 6),  # drops of .5, .25, .125, .0625, .03, …: below 1.25 % from the sixth on
        ((2.0, 1.5, 1.495), None),  # it has stopped falling
        ((2.0, 1.5, 1.6), None),  # it rises
        ((2.0, 1.5), 8),  # two points do not show how it bends: the most that is suggested
        ((2.0,), None),
        ((2.0, 1.0, 0.0), None),  # it cannot fall further
        ((2.0, 1.5, float("nan")), None),  # it diverged
        ((float("inf"), 1.5), None),
        ((float("inf"), 2.0, 1.5), 12),  # as two points
    ],
)
def test_a_curve_that_still_falls_suggests_how_many_epochs(losses: tuple[float, ...], epochs: float | None) -> None:
    found = epochs_suggested(record("a", [0.1], history=curve(*losses)))
    assert found is None if epochs is None else found == pytest.approx(epochs, abs=2)


def test_a_row_that_was_still_learning_is_named() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    text = said(study(values, by_row={"a": {"history": curve(2.0, 1.5, 1.25)}, "b": {"history": curve(2.0, 1.5, 1.5)}}))
    assert "Still learning when training ended, so they may do better: A (try about " in text and "B" not in text


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {"split_sources": {"train": "train", "test": "train"}, "num_examples": {"test": 200}},
            "The 200 test examples were cut from train",
        ),
        ({"num_examples": {"test": 200}, "num_test_in_train": 12}, "12 of 200 test texts are in train as well"),
        ({"num_dropped": {"train": 3, "validation": 0}}, "Rows were left out because they are too long: 3 of train."),
        ({"num_examples": {"test": 200}, "num_cut": {"test": 50}}, "Texts were truncated, in 25 % of A and 25 % of B"),
        ({"num_examples": {"test": 200}, "num_cut": {"test": 10}}, ""),
    ],
)
def test_what_the_data_are_is_said(facts: dict[str, Any], sentence: str) -> None:
    text = said(compared(drawn({"a": 0.6, "b": 0.4}, num_seeds=3), provenance=facts))
    assert sentence in text if sentence else text == ""


def test_what_is_too_long_for_some_rows_and_trained_on_by_some_is_said_though_the_first_row_has_neither() -> None:
    values = drawn({"floor": 0.3, "b": 0.6, "c": 0.6}, num_seeds=3)
    sizes = {"num_examples": {"test": 200}}
    facts = {
        "floor": {"provenance": {**sizes, "num_test_in_train": 1}},
        "b": {"provenance": {**sizes, "num_dropped": {"train": 3, "validation": 0}, "num_test_in_train": 12}},
        "c": {"provenance": {**sizes, "num_dropped": {"train": 5}}},
    }
    text = said(study(values, floors="floor", by_row=facts))
    assert "Rows were left out because they are too long: up to 5 of train." in text
    assert "12 of 200 test texts are in train as well" in text


def test_few_examples_of_a_class_are_too_few_for_f1() -> None:
    scores = {"f1_macro": {**SCORES["f"], "title": "Macro F1"}}
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    records = {
        name: record(name[0], v, seed=int(name[-1]), scores=scores, results={"f1_macro": 0.5})
        for name, v in values.items()
    }
    given = {
        name: [
            {"id": str(i), "scores": {"f1_macro": value}, "reference": "rare" if i < 9 else "often"}
            for i, value in enumerate(v)
        ]
        for name, v in values.items()
    }
    comparison = compare(records, given, expected_runs=[(found.row, found.seed) for found in records.values()])
    assert "fewer than 15 test examples of a class: rare (9)." in said(comparison)
    pair = comparison.pair("a", "b")
    assert pair is not None and pair.improvement is None  # a contribution to F1 wins against nothing


def test_numbers_of_seeds_and_examples_that_are_too_small_are_said() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    del values["b-seed1"], values["b-seed2"]
    assert "B has one seed only" in said(compared(values))
    assert "With 12 test examples, intervals and tests hold only" in said(
        compared(drawn({"a": 0.6, "b": 0.4}, num_examples=12))
    )
