"""LoReFT edits hidden states at the positions of the prompt that it says, and nothing else."""

import pytest
import torch
from tiny import tiny_model

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.evaluation import scoring
from hf_peft_compare.methods.loreft import LoReftSettings
from hf_peft_compare.models.heads import HEADS
from hf_peft_compare.models.trainable_parameters import count_parameters, named_trainables
from hf_peft_compare.planning.meta_models import trace_base
from hf_peft_compare.testing import Case, shake_trainables

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])


def loreft(base=None, **settings):
    """A tiny GPT-2 with edits, changed as by training."""
    return shake_trainables(get_method("loreft").build(base or tiny_model(), LoReftSettings(**settings), None)).eval()


@pytest.mark.parametrize(
    ("model_type", "fields", "settings", "expected"),
    [  # the counts of the paper's tables; the class head, which it does not count, is left out
        ("roberta", {"hidden_size": 768, "num_hidden_layers": 12}, {"r": 1, "num_first": 3, "num_last": 0}, 18_444),
        ("roberta", {"hidden_size": 1024, "num_hidden_layers": 24}, {"r": 1, "num_first": 3, "num_last": 0}, 49_176),
        ("llama", {"hidden_size": 4096, "num_hidden_layers": 32}, {"r": 8, "num_first": 7, "num_last": 7}, 2_097_408),
        ("llama", {"hidden_size": 5120, "num_hidden_layers": 40}, {"r": 8, "num_first": 7, "num_last": 7}, 3_277_120),
        ("llama", {"hidden_size": 4096, "num_hidden_layers": 32}, {"layers": [3, 9, 18, 24], "tied": False}, 262_176),
    ],
)
def test_it_has_the_papers_numbers_of_parameters(model_type, fields, settings, expected):
    from transformers import AutoConfig

    head = HEADS["sequence_classification" if model_type == "roberta" else "causal_lm"]
    base = trace_base(AutoConfig.for_model(model_type, num_attention_heads=8, vocab_size=100, **fields), head)
    with torch.device("meta"):
        model = get_method("loreft").build(base, LoReftSettings(**settings), None)
    trained = sum(p.numel() for name, p in named_trainables(model).items() if ".edits." in name)
    assert trained == expected
    if model_type == "roberta" and fields["num_hidden_layers"] == 12:
        assert count_parameters(model)["trainable_params"] == 610_574  # with the class head


@pytest.mark.parametrize("completion", [0, 2])
def test_only_the_prompts_positions_are_edited_and_no_completion(completion):
    seen = []
    base = tiny_model()
    base.transformer.h[0].register_forward_hook(lambda module, args, output: seen.append(output))
    model = loreft(base, num_first=1, num_last=2, layers=[0])
    model.transformer.h[0].register_forward_hook(lambda module, args, output: seen.append(output))
    labels = IDS.where(torch.arange(7) >= 7 - completion, -100) if completion else None
    model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=labels)
    plain, edited = (output[0] if isinstance(output, tuple) else output for output in seen)
    changed = (plain != edited).any(dim=-1)[0].nonzero()[:, 0].tolist()
    assert changed == [0, 5 - completion, 6 - completion]


@pytest.mark.parametrize("beams", [1, 2])
def test_generation_is_the_same_with_a_cache_and_without(beams):
    model = loreft(num_first=1, num_last=2)
    ids = torch.cat([torch.zeros(1, 2, dtype=torch.long), IDS], dim=1)
    mask = (torch.arange(9) > 1).long()[None]
    texts = [
        model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=6, num_beams=beams, use_cache=use, pad_token_id=0
        )
        for use in (True, False)
    ]
    assert torch.equal(*texts)


def test_an_answers_likelihood_is_that_of_the_whole_text():
    model = loreft(num_first=1, num_last=2)
    rows = [{"input_ids": [5, 6, 7, 8, end], "num_completion_tokens": 1} for end in (9, 10)]
    found = scoring.score_candidates(model, rows, num_candidates=2, pad_token_id=0, batch_size=2)
    for (nats, _), row in zip(found, rows, strict=True):
        ids = torch.tensor([row["input_ids"]])
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids.where(ids == ids[0, -1], -100)).loss
        assert nats == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_first": 0, "num_last": 0}, "num_first and num_last are both 0"),
        ({"layers": [0, 2]}, "layers holds 2; the model has 2 blocks, 0 to 1"),
        ({"r": 40}, "r is 40, above the model's width; set it to at most 32"),
    ],
)
def test_what_cannot_be_edited_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        loreft(**settings)


@pytest.mark.parametrize(
    "settings", [{"kind": "direft"}, {"parametrization": "householder"}, {"tied": False}, {"layers": [1]}]
)
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "bert"])
def test_every_variant_holds_the_contract(settings, architecture):
    from hf_peft_compare.testing import CHECKS

    for check in CHECKS:
        check(Case("loreft", settings, architecture))


def test_direft_has_a_card_of_its_own():
    method = get_method("loreft")
    assert method.describe(LoReftSettings(kind="direft"))["title"] == "DiReFT"
    assert method.describe(LoReftSettings())["title"] == "LoReFT"
