"""The analysis states what the numbers support, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from synthetic import REFERENCES, Study, make_predictions, make_record, make_study_runs

from hf_peft_compare.records.parts import ScoreDescription
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report.sections.analysis import render_analysis
from hf_peft_compare.report.writing import gather


def words(records: dict[str, RunRecord], predictions: dict[str, list[dict[str, Any]]], **changes: Any) -> str:
    """Return all sentences of the analysis; the study has the rows of the records."""
    study = Study(**{"methods": {record.row: {} for record in records.values()}, **changes})
    blocks = render_analysis(gather(study, records, predictions))  # type: ignore[arg-type]
    return "\n".join(item for block in blocks for item in getattr(block, "items", [getattr(block, "text", "")]))


def test_rows_are_grouped_by_their_difference_from_the_best_untrained_row() -> None:
    lines = words(*make_study_runs()).splitlines()
    assert any(
        line.startswith("Significantly better") and "LoRA" in line and "Prompt tuning" not in line for line in lines
    )
    assert any(line.startswith("Significantly worse") and "Prompt tuning" in line for line in lines)


def test_a_row_with_the_scores_of_the_floor_is_not_tested() -> None:
    records, predictions = make_study_runs(rows=("lead",))
    predictions["full-seed0"] = make_predictions("lead")
    records["full-seed0"] = make_record("full", predictions=[{**line, "nll": 9.0} for line in make_predictions("lead")])
    analysis = words(records, predictions)
    assert (
        "Not significantly different from it: Full fine-tuning (0.000, the difference is the same on every example)"
        in analysis
    )


def test_costs_are_shares_of_full_fine_tuning() -> None:
    records, predictions = make_study_runs(rows=("full", "lora"))
    records["lora-seed0"] = make_record("lora", seconds={"train": 50.0}, memory={"train_peak_allocated_bytes": 10**9})
    records["full-seed0"] = make_record(
        "full", seconds={"train": 200.0}, memory={"train_peak_allocated_bytes": 4 * 10**9}
    )
    analysis = words(records, predictions)
    assert (
        "LoRA trains 3.65 % of its parameters; it took 25 % of the training time and 25 % of the peak GPU" in analysis
    )


def test_without_full_fine_tuning_no_ratio_is_claimed() -> None:
    analysis = words(*make_study_runs(rows=("lora", "lead")))
    assert "costs relative to full fine-tuning are unknown" in analysis and "of the training time" not in analysis


def test_without_a_floor_the_gain_from_training_is_unknown() -> None:
    assert "No untrained method has a score yet" in words(*make_study_runs(rows=("lora", "full")))


def test_reference_leader_is_named_with_its_source() -> None:
    analysis = words(*make_study_runs(), references=REFERENCES)
    assert "In the reference (course report, 2024), Prompt tuning is best of 2 methods with ROUGE-L F 0.186" in analysis


def test_without_predictions_no_interval_is_claimed() -> None:
    records, _ = make_study_runs(rows=("full", "lead"))
    analysis = words(records, {})
    assert "Not tested: Full fine-tuning (fewer than 2 examples)." in analysis and "95 % interval" not in analysis


def prompts(*, other_template: bool = False) -> str:
    """Return the analysis of zero-shot, one-shot and an expert prompt."""
    records, predictions = {}, {}
    for row, level in (("zero_shot", "zero_shot"), ("one_shot", "last_layers"), ("expert", "zero_shot")):
        template = "{text}?" if other_template and row != "zero_shot" else "{text}"
        lines = make_predictions(level, seed=len(row))
        config = {**make_record(row).config, "method": {"name": row, "template": template}}
        card = {"title": row.replace("_", "-").capitalize()}
        nothing = {"trainable_params": 0, "total_params": 10}
        records[f"{row}-seed0"] = make_record(row, config=config, card=card, parameters=nothing, predictions=lines)
        predictions[f"{row}-seed0"] = lines
    return words(records, predictions)


def test_one_shot_and_the_persona_are_compared_with_zero_shot_with_intervals() -> None:
    lines = prompts().splitlines()
    one_shot = next(line for line in lines if line.startswith("One-shot against Zero-shot: +0."))
    expert = next(line for line in lines if line.startswith("Expert against Zero-shot: "))
    assert "interval +0." in one_shot and one_shot.endswith("(significantly different).")
    assert "interval " in expert and expert.endswith("(not significantly different).")


def test_other_templates_are_said_to_differ() -> None:
    assert "their templates differ too" in prompts(other_template=True)
    assert "their templates differ too" not in prompts()


def test_each_group_names_its_best_row_and_how_many_examples_it_has() -> None:
    records, predictions = make_study_runs(rows=("lead", "lora"))
    for lines in predictions.values():
        for place, line in enumerate(lines):
            line["group"] = "number" if place < 10 else "color"
    analysis = words(records, predictions)
    assert "Of 10 examples of number, LoRA has 0." in analysis and "Of 30 examples of color, LoRA has 0." in analysis


def test_a_lead_in_one_group_is_tested_within_it() -> None:
    records, predictions = make_study_runs(rows=("lead", "lora"))
    for run, lines in predictions.items():
        for place, line in enumerate(lines):
            line["group"] = "number" if place < 10 else "color"
            if run.startswith("lead") and place < 10:
                line["scores"]["rougeL_fmeasure"] = 0.9 + 0.01 * place
    sentence = next(words for words in words(records, predictions).split("\n") if "examples of number" in words)
    assert sentence.startswith("Of 10 examples of number, Lead-3 has 0.945, LoRA 0.")
    assert "adjusted p" in sentence and "interval +0." in sentence


def test_a_lead_in_a_group_is_in_the_score_that_examples_have() -> None:
    records, predictions = make_study_runs(rows=("lead", "lora"))
    scored = {}
    for run, lines in predictions.items():
        for place, line in enumerate(lines):
            line["group"], line["scores"] = "number", {"f1_macro": 1.2, "accuracy": float(place % 4 > 0)}
        scores = {"f1_macro": ScoreDescription(title="Macro F1"), "accuracy": ScoreDescription(title="Accuracy")}
        scored[run] = replace(records[run], scores=scores, results={"f1_macro": 0.7, "accuracy": 0.75})
    assert "Of 40 examples of number, Lead-3 has Accuracy 0.750;" in words(scored, predictions)


def test_what_was_trained_elsewhere_has_no_cost_of_training() -> None:
    records, predictions = make_study_runs(rows=("full", "lora", "last_layers"))
    records["lora-seed0"].config["method"] = {"name": "predictions", "predictions_from": "there"}
    records["last_layers-seed0"].config["method"] = {"name": "checkpoint", "checkpoint": "there"}
    assert "of its parameters" not in words(records, predictions)
