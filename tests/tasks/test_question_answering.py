"""Question answering: SQuAD's columns as examples, a prompt from a template, the best over the correct answers."""

import datasets
import pytest
from tiny import tiny_tokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_metric
from hf_peft_compare.evaluation.scoring import score_texts
from hf_peft_compare.tasks.question_answering import QuestionAnswering, QuestionAnsweringSettings

TASK = QuestionAnswering()


def read(answers, *, settings=None, **changes):
    row = {"id": "a", "context": "Ann lives in Oslo. ", "question": "Where?", "answers": answers, **changes}
    return TASK.examples(datasets.Dataset.from_list([row]), settings or QuestionAnsweringSettings())[0]


@pytest.mark.parametrize(
    ("answers", "reference", "references"),
    [
        ({"text": ["Oslo", "in Oslo", "Oslo "], "answer_start": [13, 10, 13]}, "Oslo", ("Oslo", "in Oslo")),
        ({"text": ["Oslo"], "answer_start": [13]}, "Oslo", None),
        ({"text": [], "answer_start": []}, "", None),
        (["Oslo", "in Oslo"], "Oslo", ("Oslo", "in Oslo")),
        ("Oslo", "Oslo", None),
        ("", "", None),
    ],
)
def test_answers_are_squads_lists_or_texts(answers, reference, references):
    example = read(answers)
    assert (example.source, example.source_pair) == ("Ann lives in Oslo.", "Where?")
    assert (example.reference, example.references) == (reference, references)


@pytest.mark.parametrize("answers", [None, 5, {"answer": ["Oslo"]}, [5]])
def test_what_is_no_answer_is_refused(answers):
    with pytest.raises(UserError, match=r"column 'answers' of row a is .*expected \{text: \[...\]\}, a list of texts"):
        read(answers)


def test_a_missing_column_and_an_empty_passage_are_refused():
    with pytest.raises(UserError, match="no column 'gold'; it has id, context, question, answers. Set task.answers_co"):
        read("Oslo", settings=QuestionAnsweringSettings(answers_column="gold"))
    with pytest.raises(UserError, match="the context of row a is empty"):
        read("Oslo", context=" ")


def encoded(example, **settings):
    tokenizer = tiny_tokenizer()
    features = TASK.format(QuestionAnsweringSettings(**settings)).encode(example, tokenizer, 200)
    num = features["num_completion_tokens"]
    return tokenizer.decode(features["input_ids"][:-num]), tokenizer.decode(features["input_ids"][-num:])


def test_the_first_answer_is_learned_after_the_filled_template():
    prompt, learned = encoded(read(["Oslo", "in Oslo"]))
    assert prompt == "Ann lives in Oslo.\n\nQuestion: Where?\nAnswer with a few words of the text:"
    assert learned == " Oslo<|endoftext|>"
    assert encoded(read("Oslo"), template="{question} {context}:")[0] == "Where? Ann lives in Oslo.:"


def test_no_answer_is_learned_as_the_end_of_the_text_alone():
    assert encoded(read(""))[1] == "<|endoftext|>"


def test_placeholders_are_the_columns():
    with pytest.raises(UserError, match=r"task.template has no \{question\}; expected \{passage\}, \{question\}"):
        TASK.format(QuestionAnsweringSettings(context_column="passage", template="{passage}"))


def test_the_best_of_the_answers_counts():
    examples = [read(["in Oslo", "Oslo"]), read("")]
    scores = score_texts(["The Oslo", "nowhere"], examples, [get_metric("squad")])
    assert scores == {"f1": [1, 0], "exact_match": [1, 0]}


def test_hard_prompts_ask_with_solved_examples(train, tmp_path):
    rows = [{"context": f"Ann saw {n} owls.", "question": "How many?", "answers": [str(n)]} for n in range(30)]
    datasets.Dataset.from_list(rows).to_json(tmp_path / "owls.jsonl")
    shot = {"context": "Bert saw 3 owls.", "question": "How many?", "answer": "3"}
    keys = {
        "task": {"name": "question_answering", "template": "{context} {question}"},
        "dataset": str(tmp_path / "owls.jsonl"),
        "methods": {"few_shot": {"shots": [shot]}, "zero_shot": {}},
        "num_train_samples": 10,
    }
    record = train("few_shot", folder="run", **keys)
    asked = "Bert saw 3 owls. How many? 3\n\nAnn saw "
    assert record.provenance.example_input["read"].startswith(asked)
    assert [*record.scores] == ["f1", "exact_match", "test_loss"]
