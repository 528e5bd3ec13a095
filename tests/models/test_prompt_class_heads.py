"""Prompts beside a class head: where they stand, what is trained along, what padding may not change, peft's files."""

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from tiny import METHODS, VOCABULARY_SIZE, shake_trainables, tiny_config
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, RobertaConfig

from hf_peft_compare import PromptTuningModel
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.methods.peft_method import PeftSettings, build_peft
from hf_peft_compare.models.trainable_parameters import hash_tensors, named_trainables
from hf_peft_compare.planning.meta_models import check_lengths

P, C = 4, 3
DECODERS, ENCODERS = ["gpt2", "llama"], ["bert", "roberta", "distilbert"]
IDS = torch.tensor([[2, 6, 7, 8, 9]])
SHAPE = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "initializer_range": 0.2,
}
CONFIGS = {
    "bert": lambda: BertConfig(**SHAPE),
    "roberta": lambda: RobertaConfig(**SHAPE),  # positions begin after that of padding, 1
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY_SIZE, dim=32, n_layers=2, n_heads=2, hidden_dim=64, initializer_range=0.2
    ),
}


def classifier(architecture, *, seed=0, num_labels=C):
    """A model with a class head, random weights, in evaluation mode."""
    torch.manual_seed(seed)
    config = CONFIGS[architecture]() if architecture in CONFIGS else tiny_config(architecture)
    config.num_labels = num_labels
    config.pad_token_id = 0 if config.pad_token_id is None else config.pad_token_id
    return AutoModelForSequenceClassification.from_config(config).eval()


def fresh_prompt():
    return 0.3 * torch.randn(P, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=DECODERS + ENCODERS)
def model(request):
    """A prompt of four vectors beside a tiny base with a class head, in evaluation mode."""
    return PromptTuningModel(classifier(request.param), fresh_prompt()).eval()


@torch.no_grad()
def logits(model, ids=IDS, **inputs):
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits


def test_the_prompt_stands_before_a_decoders_text_and_after_an_encoders_first_token(model):
    """A prompt of token embeddings is those tokens, so where it stands can be read off."""
    words = torch.tensor([[11, 12, 13, 14]])
    prompted = PromptTuningModel(model.base, model.base.get_input_embeddings().weight[words[0]])
    decoder = model.config.model_type in DECODERS
    parts = [words, IDS] if decoder else [IDS[:, :1], words, IDS[:, 1:]]
    expected = logits(model.base, torch.cat(parts, dim=1))
    assert expected.shape == (1, C)
    torch.testing.assert_close(logits(prompted), expected, atol=1e-5, rtol=1e-5)
    other = logits(model.base, torch.cat([IDS[:, :1], words, IDS[:, 1:]] if decoder else [words, IDS], dim=1))
    assert not torch.allclose(other, expected, atol=1e-3)  # the place matters


@pytest.mark.parametrize("given", ["tokens", "embeddings"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_no_class(side, given, model):
    padding = torch.full((1, 7), model.config.pad_token_id)
    ids = torch.cat([padding, IDS] if side == "left" else [IDS, padding], dim=1)
    mask = (torch.arange(12) >= 7 if side == "left" else torch.arange(12) < 5).long()[None]
    tokens = {"input_ids": ids} if given == "tokens" else {"inputs_embeds": model.get_input_embeddings()(ids)}
    with torch.no_grad():
        padded = model(**tokens, attention_mask=mask).logits
        torch.testing.assert_close(padded, logits(model), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(input_ids=IDS).logits, logits(model))  # without a mask every token counts
    assert not torch.allclose(logits(model, IDS + 1), logits(model), atol=1e-3)  # the text is read


def test_types_of_tokens_stay_with_their_tokens():
    model = PromptTuningModel(classifier("bert"), fresh_prompt()).eval()
    types = torch.tensor([[0, 0, 0, 1, 1]])
    embeds = model._with_prompt(IDS, None)
    with torch.no_grad():
        expected = model.base(inputs_embeds=embeds, token_type_ids=torch.tensor([[0, 0, 0, 0, 0, 0, 0, 1, 1]])).logits
    torch.testing.assert_close(logits(model, token_type_ids=types), expected)
    assert not torch.allclose(logits(model), expected, atol=1e-4)


def test_prompt_and_class_head_are_trained_and_nothing_else(model):
    trained = named_trainables(model)
    assert "prompt_embeddings" in trained
    heads = [name for name in trained if name != "prompt_embeddings"]
    assert heads and all("score" in name or "classifier" in name for name in heads)
    assert not any("pooler" in name for name in heads)
    frozen = {name: p for name, p in model.named_parameters() if name not in trained}
    before = hash_tensors(frozen)
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    model.train()(input_ids=IDS, labels=torch.tensor([1])).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.values())
    optimizer.step()
    assert hash_tensors(frozen) == before


def test_saved_and_loaded_it_tells_the_same_classes(model, tmp_path):
    shake_trainables(model).save_pretrained(tmp_path)
    loaded = PromptTuningModel.from_pretrained(classifier(model.config.model_type, seed=1), tmp_path)
    assert not torch.allclose(logits(loaded), logits(model))  # another frozen base
    loaded = PromptTuningModel.from_pretrained(classifier(model.config.model_type), tmp_path)
    torch.testing.assert_close(logits(loaded), logits(model), atol=0, rtol=0)
    assert named_trainables(loaded).keys() == named_trainables(model).keys()


def test_peft_reads_prompt_and_class_head(model, tmp_path):
    """On a decoder its classes are ours; on an encoder it puts the prompt elsewhere, and they are its own."""
    shake_trainables(model).save_pretrained(tmp_path)
    theirs = PeftModel.from_pretrained(classifier(model.config.model_type), tmp_path).eval()
    prompt = theirs.get_prompt_embedding_to_save("default")
    torch.testing.assert_close(prompt, model.prompt_embeddings.detach(), atol=0, rtol=0)
    assert theirs.active_peft_config.task_type == "SEQ_CLS"
    if model.config.model_type in DECODERS:
        torch.testing.assert_close(logits(theirs), logits(model), atol=1e-5, rtol=1e-5)
    loaded = [p for name, p in theirs.named_parameters() if "modules_to_save" in name]
    ours = [p for name, p in named_trainables(model).items() if name != "prompt_embeddings"]
    assert len(loaded) == len(ours) and all(torch.equal(one, other) for one, other in zip(loaded, ours, strict=True))


def test_we_read_what_peft_saved(model, tmp_path):
    architecture = model.config.model_type
    shape = {"token_dim": 32, "num_attention_heads": 2, "num_layers": 2}  # which peft cannot read off a DistilBERT
    config = PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=P, **shape)
    theirs = shake_trainables(get_peft_model(classifier(architecture), config)).eval()
    theirs.save_pretrained(tmp_path)
    ours = PromptTuningModel.from_pretrained(classifier(architecture), tmp_path).eval()
    if architecture in DECODERS:
        torch.testing.assert_close(logits(ours), logits(theirs), atol=1e-5, rtol=1e-5)
    else:  # the same vectors and head, read after the first token
        expected = theirs.base_model(inputs_embeds=ours._with_prompt(IDS, None)).logits
        torch.testing.assert_close(logits(ours), expected.detach(), atol=1e-5, rtol=1e-5)


def test_a_head_of_other_classes_is_a_user_error(tmp_path):
    PromptTuningModel(classifier("gpt2"), fresh_prompt()).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"score.weight': \(3, 32\).*expects.*score.weight': \(2, 32\)"):
        PromptTuningModel.from_pretrained(classifier("gpt2", num_labels=2), tmp_path)


@pytest.mark.parametrize("row", ["p_tuning", "peft_prompt_tuning", "prefix_tuning"])
def test_pefts_prompts_on_a_roberta_do_not_depend_on_padding(row):
    """Its positions begin after that of padding; they follow from the tokens, of which virtual ones stand in front."""
    torch.manual_seed(0)
    model = shake_trainables(build_peft(classifier("roberta"), PeftSettings(**METHODS[row]))).eval()
    ids = torch.nn.functional.pad(IDS, (0, 7), value=model.config.pad_token_id)
    with torch.no_grad():
        padded = model(input_ids=ids, attention_mask=(torch.arange(12) < 5).long()[None]).logits
    torch.testing.assert_close(padded, logits(model), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits(model, IDS + 1), logits(model), atol=1e-3)


@pytest.mark.parametrize("row", ["prompt_tuning", "p_tuning", "prefix_tuning"])
def test_a_robertas_context_begins_after_the_position_of_padding(row, classifying, tiny_study):
    """Of 66 positions 64 are left for virtual tokens and text; so many are read, and one more is refused before."""
    base = classifier("roberta")
    study = {**classifying, "methods": {row: METHODS[row]}}
    check_lengths(tiny_study("max_length=64", **study).resolve(row=row, seed=0)[0], base)
    with pytest.raises(UserError, match="the context of .* has 64"):
        check_lengths(tiny_study("max_length=65", **study).resolve(row=row, seed=0)[0], base)
    settings = PeftSettings(**METHODS[row]) if row != "prompt_tuning" else None
    model = build_peft(base, settings).eval() if settings else PromptTuningModel(base, fresh_prompt()).eval()
    ids = torch.full((1, 64 - P), 7)
    assert logits(model, ids).shape == (1, C)
    with pytest.raises((IndexError, RuntimeError)):
        logits(model, torch.full((1, 65 - P), 7))
