"""Encoder-decoders: what is patched, and which parts of them each method changes."""

import re

import pytest
import torch
from peft import PeftModel
from soft_prompts import P
from tiny import ENCODER_DECODERS, shake_trainables, tiny_config, tiny_model, tiny_tokenizer
from transformers import AutoModelForSeq2SeqLM

from hf_peft_compare import PromptTuningModel
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.data.collators import EncoderDecoderCollator
from hf_peft_compare.methods.last_layers import LastLayersSettings, build_last_layers
from hf_peft_compare.methods.lora import LoraSettings, build_lora
from hf_peft_compare.methods.peft_method import PeftSettings, build_peft
from hf_peft_compare.models.encoder_decoder import untie_second_t5
from hf_peft_compare.models.frozen_trunk import find_trunk
from hf_peft_compare.models.loading import prepare_base
from hf_peft_compare.models.trainable_parameters import named_trainables

ROWS = [
    {"input_ids": [5, 6, 7, 8, 9, 10, 11, 0], "num_completion_tokens": 2},
    {"input_ids": [12, 13, 14, 15, 16, 17, 0], "num_completion_tokens": 5},
]
BATCH = EncoderDecoderCollator(pad_token_id=0)(ROWS)


@pytest.fixture(params=ENCODER_DECODERS)
def base(request):
    model, tokenizer = tiny_model(request.param), tiny_tokenizer()
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "right"
    prepare_base(model, tokenizer)
    return model


@pytest.mark.parametrize("known", [None, 7])
def test_a_saved_model_says_itself_what_its_decoder_starts_with(known):
    model, tokenizer = tiny_model("t5"), tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    model.generation_config.decoder_start_token_id = known
    prepare_base(model, tokenizer)
    start = tokenizer.pad_token_id if known is None else known
    assert model.config.decoder_start_token_id == model.generation_config.decoder_start_token_id == start


def soft(base):
    width = base.get_input_embeddings().embedding_dim
    return PromptTuningModel(base, 0.3 * torch.randn(P, width, generator=torch.Generator().manual_seed(0))).eval()


@torch.no_grad()
def logits(model, **inputs):
    return model(**{**BATCH, **inputs}).logits


def test_the_loss_of_micro_batches_adds_up_to_that_of_the_whole_step(base):
    parts = [EncoderDecoderCollator(pad_token_id=0)([row]) for row in ROWS]
    whole = base(**BATCH).loss
    assert sum(base(**part, num_items_in_batch=7).loss for part in parts).item() == pytest.approx(
        whole.item(), abs=1e-5
    )
    nats = torch.nn.functional.cross_entropy(logits(base).flatten(0, 1), BATCH["labels"].flatten())
    assert whole.item() == pytest.approx(nats.item(), abs=1e-5)


def test_a_token_is_predicted_from_the_prompt_and_the_tokens_before_it_alone(base):
    changed = BATCH["labels"].clone()
    changed[1, 3] = 20  # read by the decoder from column 4 on
    torch.testing.assert_close(logits(base, labels=changed)[:, :4], logits(base)[:, :4])
    assert not torch.allclose(logits(base, labels=changed)[1, 4], logits(base)[1, 4], atol=1e-3)
    other = BATCH["input_ids"].clone()
    other[1, 0] = 20
    assert not torch.allclose(logits(base, input_ids=other)[1, 0], logits(base)[1, 0], atol=1e-3)


def test_the_encoder_alone_reads_the_soft_prompt(base):
    model, width = soft(base), BATCH["input_ids"].shape[1]
    read = {}
    for name, part in (("encoder", base.get_encoder()), ("decoder", base.get_decoder())):
        part.register_forward_hook(lambda m, args, output, name=name: read.update({name: output[0].shape[1]}))
    assert logits(model).shape[1] == BATCH["labels"].shape[1]
    assert read == {"encoder": P + width, "decoder": BATCH["labels"].shape[1]}
    assert set(named_trainables(model)) == {"prompt_embeddings"}


def test_a_soft_prompt_of_the_texts_own_embeddings_is_the_text_itself(base):
    start, rest = BATCH["input_ids"][:, :2], BATCH["input_ids"][:, 2:]
    embeddings = base.get_input_embeddings()(start[:1])[0]
    batch = {"input_ids": torch.cat([start[:1], rest[:1]], dim=1), "labels": BATCH["labels"][:1]}
    with torch.no_grad():
        expected = base(**batch).logits
        found = PromptTuningModel(base, embeddings)(input_ids=rest[:1], labels=batch["labels"]).logits
    torch.testing.assert_close(found, expected)


def test_padding_on_either_side_changes_no_logit_of_a_soft_prompt(base):
    model = soft(base)
    left = {
        "input_ids": torch.nn.functional.pad(BATCH["input_ids"][:1], (3, 0), value=9),
        "attention_mask": torch.nn.functional.pad(BATCH["attention_mask"][:1], (3, 0), value=0),
        "labels": BATCH["labels"][:1],
    }
    with torch.no_grad():
        torch.testing.assert_close(model(**left).logits, logits(model)[:1], atol=1e-5, rtol=1e-5)


def test_peft_reads_what_a_soft_prompt_saves(base, tmp_path):
    model = shake_trainables(soft(base))
    expected = logits(model)
    model.save_pretrained(tmp_path)
    theirs = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    torch.testing.assert_close(logits(theirs), expected, atol=1e-5, rtol=1e-5)
    ours = PromptTuningModel.from_pretrained(base, tmp_path).eval()
    torch.testing.assert_close(logits(ours), expected)


def test_peft_trains_no_virtual_token_that_nothing_reads(base):
    model = build_peft(base, PeftSettings(peft_type="PROMPT_TUNING", num_virtual_tokens=P))
    (prompt,) = named_trainables(model).values()
    assert prompt.shape == (P, base.get_input_embeddings().embedding_dim)


def test_lora_adapts_encoder_and_decoder_but_not_the_head(base):
    names = set(named_trainables(build_lora(base, LoraSettings(r=2))))
    for part in ("encoder", "decoder"):
        assert any(f".{part}." in name for name in names)
    assert not any("lm_head" in name or "shared" in name for name in names)


def test_the_last_layers_are_those_of_the_decoder(base):
    model = build_last_layers(base, LastLayersSettings(num_layers=1))
    trained = named_trainables(model)
    last = re.compile(r"decoder\.(block|layers)\.1\.")
    assert all(last.search(name) or name == "lm_head.weight" for name in trained)
    assert len(trained) == 1 + sum(last.search(name) is not None for name, _ in model.named_parameters())
    assert model.lm_head.weight is not model.get_input_embeddings().weight
    assert find_trunk(model) is None


def test_loreft_says_why_it_edits_no_encoder_decoder(base):
    method = get_method("loreft")
    with pytest.raises(UserError, match="loreft edits a prompt's states"):
        method.build(base, method.settings(), tiny_tokenizer())


def test_the_head_of_a_second_t5_is_its_own():
    config = tiny_config("t5")
    tied = AutoModelForSeq2SeqLM.from_config(config)
    assert untie_second_t5(tied).lm_head.weight is tied.shared.weight
    config.scale_decoder_outputs = False
    own = untie_second_t5(AutoModelForSeq2SeqLM.from_config(config))
    assert own.lm_head.weight is not own.shared.weight
    assert own.encoder.embed_tokens.weight is own.shared.weight


def test_first_values_from_labeled_tokens_are_refused_before_anything_is_trained(base):
    with pytest.raises(UserError, match="init_lora_weights is 'eva'.* reads tokens without labels; take 'pissa'"):
        build_peft(base, PeftSettings(peft_type="LORA", init_lora_weights="eva"))


def test_peft_types_whose_keys_would_have_another_width_are_refused():
    config = tiny_config("t5")
    config.d_kv = 8
    with pytest.raises(UserError, match="64 / 2, but the base's have d_kv, 8"):
        build_peft(
            AutoModelForSeq2SeqLM.from_config(config), PeftSettings(peft_type="PREFIX_TUNING", num_virtual_tokens=2)
        )
