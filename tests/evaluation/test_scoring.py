"""Evaluation: the loss of completions alone, text from prompts alone, one result per example in its order."""

import pytest
import torch
from tiny import METHODS, shake_trainables, tiny_model, token_rows

from hf_peft_compare.core.metric import Metric, Score
from hf_peft_compare.core.registry import get_metric
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.evaluation.scoring import score_candidates, score_completions, score_texts
from hf_peft_compare.models.heads import completion_nll

ROWS = token_rows([9, 30, 17, 25])


def written_out_nll(model, row):
    """The definition, token by token: -log p(token | everything before it), for the completion's tokens."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].double()
    last = range(len(row["input_ids"]) - row["num_completion_tokens"], len(row["input_ids"]))
    return sum(-logits[i - 1].log_softmax(dim=0)[row["input_ids"][i]].item() for i in last)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_loss_of_a_completion_is_that_of_its_tokens_given_all_before(architecture):
    model = tiny_model(architecture)
    from hf_peft_compare.data.position_ids import count_positions_from_mask

    count_positions_from_mask(model)
    scores = score_completions(model, ROWS, pad_token_id=0, batch_size=3)
    for row, (nats, num_tokens) in zip(ROWS, scores, strict=True):
        assert num_tokens == row["num_completion_tokens"]
        assert nats == pytest.approx(written_out_nll(model, row), abs=1e-4)


def candidate_rows():
    """Two prompts, each with three answers of one to three tokens; the second prompt is cut for its longest answer."""
    first, second = token_rows([9, 21])
    answers = [[11, 2], [12, 2], [11, 13, 2]]
    prompts = [first["input_ids"]] * 3 + [second["input_ids"]] * 2 + [second["input_ids"][:15]]
    pairs = zip(prompts, answers * 2, strict=True)
    return [{"input_ids": [*prompt, *answer], "num_completion_tokens": len(answer)} for prompt, answer in pairs]


@pytest.mark.parametrize("row", METHODS)
def test_an_answer_is_as_likely_whether_its_prompt_is_read_once_for_all_or_for_it_alone(row, build):
    model = build(row).model
    shake_trainables(model)
    rows = candidate_rows()
    together = score_candidates(model, rows, 3, pad_token_id=0, batch_size=2)
    alone = score_completions(model, rows, pad_token_id=0, batch_size=1)
    assert [n for _, n in together] == [n for _, n in alone] == [2, 2, 3, 2, 2, 3]
    assert [nats for nats, _ in together] == pytest.approx([nats for nats, _ in alone], abs=1e-4)


def test_what_answers_have_in_common_is_read_once(build, count_tokens):
    model = build("full").model
    read = count_tokens(model)
    rows = candidate_rows()[:3]
    score_candidates(model, rows, 3, pad_token_id=0, batch_size=1)
    prompt = len(rows[0]["input_ids"]) - 2
    assert read == [prompt - 1, 3, 3, 4]  # the prompt's last token is read with each answer


def test_tokens_of_the_prompt_and_padding_do_not_weigh_in_the_loss():
    logits = torch.zeros(1, 4, 10)  # uniform: every token costs ln 10
    labels = torch.tensor([[-100, -100, 3, 4]])
    nats, num_tokens = completion_nll(logits, labels)
    assert num_tokens.item() == 2
    assert nats.item() == pytest.approx(2 * torch.tensor(10.0).log().item())
    logits[0, 0, 3] = 50  # predicts the unscored second column
    assert completion_nll(logits, labels)[0].item() == pytest.approx(nats.item())


# peft's prompt learning that prepends embeddings takes labels of all T columns only.
@pytest.mark.parametrize("row", [r for r in METHODS if r not in ("p_tuning", "peft_prompt_tuning")])
def test_the_lm_head_is_computed_only_where_there_are_labels(row, build):
    built = build(row)
    batch = CompletionCollator(pad_token_id=0)(ROWS)
    widths = []
    head = built.model.get_output_embeddings()
    head.register_forward_hook(lambda module, args, output: widths.append(output.shape[1]))
    output = built.model(**batch)
    assert output.logits.shape[1] == widths[0] == batch["labels"].shape[1] < batch["input_ids"].shape[1]


@pytest.mark.parametrize("row", METHODS)
def test_the_models_own_loss_is_the_mean_over_the_labelled_tokens(row, build):
    built = build(row)
    shake_trainables(built.model)
    with torch.no_grad():
        loss = built.model(**CompletionCollator(pad_token_id=0)(ROWS)).loss.item()
    nats, tokens = zip(*score_completions(built.model, ROWS, pad_token_id=0, batch_size=4), strict=True)
    assert loss == pytest.approx(sum(nats) / sum(tokens), abs=1e-4)


def test_every_metric_scores_every_example():
    examples = [Example(id=r, source="x", reference=r) for r in ("a b", "d")]
    scores = score_texts(["a b", "c"], examples, [get_metric("rouge"), get_metric("entity_recall")])
    assert scores["rouge1_fmeasure"] == [1.0, 0.0]
    assert scores["entity_recall"] == [1.0, 1.0]


class Lengths(Metric):
    """The difference in length, of which less is better, and the reference's length, of which more is."""

    name = "lengths"
    scores = [
        Score(name="difference", title="Difference", unit="characters", greater_is_better=False),
        Score(name="length", title="Length", unit="characters", greater_is_better=True),
    ]

    def compute(self, predictions, references):
        pairs = list(zip(predictions, references, strict=True))
        return {"length": [len(r) for _, r in pairs], "difference": [abs(len(p) - len(r)) for p, r in pairs]}


def test_of_several_references_the_best_counts_for_each_score():
    one = Example(id="1", source="x", reference="abcd")
    several = Example(id="2", source="x", reference="a", references=("a", "abc", "abcde"))
    assert score_texts(["ab", "abcd"], [one, several], [Lengths()]) == {"difference": [2, 1], "length": [4, 5]}


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"difference": [1]}, "returned the scores difference, but declared are difference, length"),
        ({"difference": [1], "length": [1, 2]}, "as length; expected 1 finite numbers"),
        ({"difference": [float("nan")], "length": [1]}, "as difference; expected 1 finite numbers"),
    ],
)
def test_a_metric_that_returns_something_else_is_an_error(returned, words, monkeypatch):
    monkeypatch.setattr(Lengths, "compute", lambda *args: returned)
    with pytest.raises(ValueError, match=words):
        score_texts(["ab"], [Example(id="1", source="x", reference="abcd")], [Lengths()])
