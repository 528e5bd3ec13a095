"""PromptTuningModel: a frozen base that reads a trainable prompt, in the stock Trainer, generate and peft's files."""

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from soft_prompts import IDS, ROWS, P, fresh_prompt, logits
from tiny import shake_trainables, tiny_model
from transformers import DynamicCache, StaticCache

from hf_peft_compare import PromptTuningModel
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.collators import CompletionCollator, pad_left
from hf_peft_compare.models.trainable_parameters import named_trainables


def test_the_prompt_stands_before_the_text(model):
    embeds = torch.cat([model.prompt_embeddings[None], model.base.get_input_embeddings()(IDS)], dim=1)
    with torch.no_grad():
        expected = model.base(inputs_embeds=embeds).logits
    assert expected.shape[1] == P + IDS.shape[1]
    torch.testing.assert_close(logits(model), expected)


def test_a_prompt_of_token_embeddings_is_those_tokens(model):
    words = torch.tensor([[11, 12, 13, 14]])
    prompted = PromptTuningModel(model.base, model.base.get_input_embeddings().weight[words[0]])
    with torch.no_grad():
        expected = model.base(input_ids=torch.cat([words, IDS], dim=1)).logits
    torch.testing.assert_close(logits(prompted), expected)


def test_without_a_mask_every_token_counts(model):
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=IDS).logits, logits(model))


def test_embeddings_may_come_in_place_of_token_ids(model):
    with torch.no_grad():
        output = model(inputs_embeds=model.get_input_embeddings()(IDS))
    torch.testing.assert_close(output.logits, logits(model))
    with pytest.raises(UserError, match="neither input_ids nor inputs_embeds"):
        model()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_no_logit(side, model):
    padding = torch.zeros(1, 7, dtype=torch.long)
    parts = [padding, IDS] if side == "left" else [IDS, padding]
    ids = torch.cat(parts, dim=1)
    mask = torch.cat([torch.zeros_like(p) if p is padding else torch.ones_like(p) for p in parts], dim=1)
    with torch.no_grad():
        padded = model(input_ids=ids, attention_mask=mask).logits
    text = padded[:, -5:] if side == "left" else padded[:, P : P + 5]
    torch.testing.assert_close(text, logits(model)[:, P:], atol=1e-4, rtol=1e-4)


def test_labels_of_the_last_columns_give_the_loss_of_full_labels(model):
    batch = CompletionCollator(pad_token_id=0)(ROWS)
    width, kept = batch["input_ids"].shape[1], batch["labels"].shape[1]
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    cut = model(**inputs, labels=batch["labels"])
    full = model(**inputs, labels=torch.nn.functional.pad(batch["labels"], (width - kept, 0), value=-100))
    torch.testing.assert_close(cut.loss, full.loss)
    assert cut.logits.shape[1] == kept < full.logits.shape[1] == width
    by_hand = torch.nn.functional.cross_entropy(
        model(**inputs).logits[:, -kept:-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
    )
    torch.testing.assert_close(cut.loss, by_hand)


def test_a_prompt_of_another_width_is_a_user_error():
    with pytest.raises(UserError, match=r"soft prompt has shape \(4, 31\); expected \[num_virtual_tokens, 32\]"):
        PromptTuningModel(tiny_model(), torch.zeros(4, 31))
    with pytest.raises(UserError, match="soft prompt has shape"):
        PromptTuningModel(tiny_model(), torch.zeros(32))


def test_the_prompt_is_the_only_trainable(model):
    assert list(named_trainables(model)) == ["prompt_embeddings"]
    assert sum(p.numel() for p in named_trainables(model).values()) == P * 32


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "gradient checkpointing"])
def test_the_gradient_reaches_every_vector_of_the_prompt_and_nothing_else(checkpointing, model):
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        assert any(getattr(m, "gradient_checkpointing", False) for m in model.base.modules())
    model(input_ids=IDS, labels=IDS).loss.backward()
    assert (model.prompt_embeddings.grad.abs().sum(dim=1) > 0).all()
    assert all(p.grad is None for p in model.base.parameters())


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        model = PromptTuningModel(tiny_model(), fresh_prompt())  # in evaluation mode: no dropout
        model.base.config.resid_pdrop = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "attn_dropout"):
                module.attn_dropout.p = 0.0
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append(model.prompt_embeddings.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@torch.no_grad()
def greedy(model, ids, num_new_tokens):
    """The definition: append the likeliest token, again and again, reading everything anew each time."""
    for _ in range(num_new_tokens):
        embeds = torch.cat([model.prompt_embeddings[None], model.base.get_input_embeddings()(ids)], dim=1)
        ids = torch.cat([ids, model.base(inputs_embeds=embeds).logits[:, -1:].argmax(dim=-1)], dim=1)
    return ids


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generate_equals_a_hand_written_greedy_loop(cache, model):
    settings = {
        "max_new_tokens": 12,
        "do_sample": False,
        "cache_implementation": cache,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    expected = greedy(model, IDS, 12)
    assert torch.equal(model.generate(input_ids=IDS, **settings), expected)
    assert len(set(expected[0].tolist())) > 3  # no constant babble that any loop would give
    padded, mask = pad_left([IDS[0].tolist(), [3] * 11], pad_token_id=0)
    generated = model.generate(input_ids=padded, attention_mask=mask, **settings)
    assert torch.equal(generated[0, -12:], expected[0, -12:])


def test_generated_text_depends_on_the_prompt_vectors(model):
    settings = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    before = model.generate(input_ids=IDS, **settings)
    shake_trainables(model, scale=1.0)
    assert not torch.equal(model.generate(input_ids=IDS, **settings), before)
    assert not torch.equal(model.base.generate(input_ids=IDS, attention_mask=torch.ones_like(IDS), **settings), before)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kind", [DynamicCache, StaticCache])
@torch.no_grad()
def test_a_loop_of_ones_own_may_keep_a_cache(kind, masked, model):
    cache = kind(model.config, max_cache_len=P + 16) if kind is StaticCache else kind(config=model.config)
    ids = read = IDS
    for _ in range(8):
        mask = torch.ones_like(ids) if masked else None
        logits = model(input_ids=read, attention_mask=mask, past_key_values=cache).logits
        read = logits[:, -1:].argmax(dim=-1)
        ids = torch.cat([ids, read], dim=1)
    assert torch.equal(ids, greedy(model, IDS, 8))


def test_beams_are_those_of_the_base_after_the_prompts_own_tokens(model):
    words = torch.tensor([[11, 12, 13, 14]])
    prompted = PromptTuningModel(model.base, model.base.get_input_embeddings().weight[words[0]])
    settings = {"max_new_tokens": 6, "num_beams": 3, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = model.base.generate(input_ids=torch.cat([words, IDS], dim=1), **settings)
    assert torch.equal(prompted.generate(input_ids=IDS, **settings), expected[:, 4:])


def test_embeddings_generate_what_their_tokens_do(model):
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    completion = model.generate(inputs_embeds=model.get_input_embeddings()(IDS), **settings)
    assert torch.equal(completion, model.generate(IDS, **settings)[:, 5:])


def test_the_longest_text_is_counted_without_the_prompt(model):
    assert model.generate(input_ids=IDS, max_length=9, do_sample=False, eos_token_id=None).shape == (1, 9)


@pytest.mark.parametrize("setting", [{"repetition_penalty": 1.8}, {"no_repeat_ngram_size": 1}, {"min_new_tokens": 8}])
def test_what_looks_at_the_text_never_looks_at_its_padding(setting, model):
    settings = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": 0, "pad_token_id": 0, **setting}
    alone = model.generate(input_ids=IDS, attention_mask=torch.ones_like(IDS), **settings)
    padded, mask = pad_left([IDS[0].tolist(), [3] * 11], pad_token_id=0)
    together = model.generate(input_ids=padded, attention_mask=mask, **settings)[:1, 6:]
    assert torch.equal(together[:, : alone.shape[1]], alone)
    assert not together[:, alone.shape[1] :].any()  # padding after the end of text


def test_peft_loads_what_we_saved(model, tmp_path):
    shake_trainables(model)
    model.save_pretrained(tmp_path)
    theirs = PeftModel.from_pretrained(tiny_model(model.config.model_type), tmp_path).eval()
    torch.testing.assert_close(logits(theirs), logits(model), atol=1e-5, rtol=1e-5)
    assert theirs.active_peft_config.num_virtual_tokens == P


def test_we_load_what_peft_saved(model, tmp_path):
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=P)
    theirs = shake_trainables(get_peft_model(tiny_model(model.config.model_type), config)).eval()
    theirs.save_pretrained(tmp_path)
    ours = PromptTuningModel.from_pretrained(tiny_model(model.config.model_type), tmp_path).eval()
    torch.testing.assert_close(logits(ours), logits(theirs), atol=1e-5, rtol=1e-5)


def test_a_text_initialization_is_noted_as_peft_notes_it(tmp_path, build, tiny_gpt2):
    build("prompt_tuning").model.save_pretrained(tmp_path)
    config = PromptTuningConfig.from_pretrained(tmp_path)
    assert (config.prompt_tuning_init, config.prompt_tuning_init_text) == ("TEXT", "the fox found")
    assert config.tokenizer_name_or_path == config.base_model_name_or_path == str(tiny_gpt2)


def test_saving_and_loading_changes_no_bit(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = PromptTuningModel.from_pretrained(tiny_model(model.config.model_type), tmp_path)
    assert torch.equal(loaded.prompt_embeddings, model.prompt_embeddings)
    assert loaded.prompt_embeddings.requires_grad
    loaded.save_pretrained(tmp_path / "again")
    again, first = (tmp_path / folder / "adapter_model.safetensors" for folder in ("again", "."))
    assert again.read_bytes() == first.read_bytes()


def test_a_folder_without_a_soft_prompt_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"no adapter_model\.safetensors"):
        PromptTuningModel.from_pretrained(tiny_model(), tmp_path)
    from peft import LoraConfig

    get_peft_model(tiny_model(), LoraConfig(task_type="CAUSAL_LM")).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="expected prompt_embeddings"):
        PromptTuningModel.from_pretrained(tiny_model(), tmp_path)
