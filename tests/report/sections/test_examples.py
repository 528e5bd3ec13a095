"""Examples are chosen and shown by a score that single examples have, from the hardest to the easiest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from synthetic import Study, make_study_runs

from hf_peft_compare.records.parts import ScoreDescription
from hf_peft_compare.report.blocks import Browser, Example, Paragraph
from hf_peft_compare.report.sections.examples import render_examples
from hf_peft_compare.report.writing import gather

F1 = ScoreDescription(title="Macro F1")
ACCURACY = ScoreDescription(title="Accuracy")
LOSS = ScoreDescription(title="Test loss", greater_is_better=False)


def rendered(scores: dict[str, ScoreDescription]) -> tuple[Any, str, list[Example]]:
    """Return the data of the browser, the rule, and the examples of two rows that have these scores."""
    records, predictions = make_study_runs(rows=("lora", "full"))
    for lines in predictions.values():
        for place, line in enumerate(lines):
            line["scores"] = {"f1_macro": 1.4 - place / 20, "accuracy": place / 100}
    values = {"f1_macro": 0.4, "accuracy": 0.2, "test_loss": 2.5}
    scored = {
        run: replace(record, scores=scores, results={name: values[name] for name in scores})
        for run, record in records.items()
    }
    blocks = render_examples(gather(Study(methods={"lora": {}, "full": {}}), scored, predictions))  # type: ignore[arg-type]
    (browser,) = (block for block in blocks if isinstance(block, Browser))
    (rule,) = (block.text for block in blocks if isinstance(block, Paragraph))
    return browser.data, rule, [block for block in blocks if isinstance(block, Example)]


def test_a_contribution_to_f1_is_no_score_of_an_example() -> None:
    data, rule, examples = rendered({"f1_macro": F1, "accuracy": ACCURACY})
    assert data["score"]["title"] == "Accuracy" and data["runs"][0]["scores"][:3] == [0.0, 0.01, 0.02]
    assert "quantiles of mean Accuracy over all methods, the hardest first" in rule
    assert examples[0].title == "Example example-2" and examples[0].answers[0].score == "Accuracy 0.020"


def test_where_the_loss_ranks_the_hardest_example_has_the_highest_loss_per_token() -> None:
    data, rule, examples = rendered({"test_loss": LOSS})
    losses = [float(example.answers[0].score.removeprefix("Test loss ")) for example in examples]
    assert losses[0] > losses[-1] and all(1.5 < loss < 4 for loss in losses)
    assert "mean Test loss over all methods" in rule and not data["score"]["greater_is_better"]
