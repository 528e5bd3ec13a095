"""Lead: the first sentences, one per line."""

import pytest

from hf_peft_compare.methods.lead import LeadSettings, lead


@pytest.mark.parametrize(
    ("text", "num_sentences", "expected"),
    [
        ("One. Two! Three? Four.", 3, "One.\nTwo!\nThree?"),
        ("One. Two.", 3, "One.\nTwo."),
        ("One.", 1, "One."),
        ("no end", 2, "no end"),
        ("It cost 3.50 dollars. Cheap.", 1, "It cost 3.50 dollars."),
        ('He said "Go." "Where?" she asked. End.', 1, 'He said "Go."'),
        ("He lives at example.com today. She too.", 1, "He lives at example.com today."),
        ("First.\n\nSecond.\n", 2, "First.\nSecond."),
        ("  Padded.  Next. ", 1, "Padded."),
        ("In 2020. 5 came.", 1, "In 2020."),
    ],
)
def test_lead_gives_the_first_sentences_one_per_line(text, num_sentences, expected):
    assert lead(text, LeadSettings(num_sentences=num_sentences)) == expected


def test_the_run_scores_the_lead_of_each_article(train, tmp_path):
    from hf_peft_compare.records.run_folder import read_predictions

    record = train("lead", methods={"lead": {"num_sentences": 1}})
    for row in read_predictions(tmp_path / "lead-seed0"):
        assert row["prediction"] == row["source"].split(".")[0] + "."
    assert record.parameters is None
    assert record.results["rouge1_recall"] > 0.5  # the tiny stories' highlights repeat the first sentence
