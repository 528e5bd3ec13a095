"""Weights, architecture and vocabulary that do not belong together are refused, in the check and at loading."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.fitting import check_known, check_vocabulary
from hf_peft_compare.models.loading import base_on_meta, check_weights, load_base, load_tokenizer
from hf_peft_compare.orchestration.preflight import check

CHANGES = {
    "another prefix": lambda tensors: {f"zzz.{name}": tensor for name, tensor in tensors.items()},
    "in part": lambda tensors: dict(list(tensors.items())[:5]),
    "other shapes": lambda tensors: {
        name: tensor[:, :8].contiguous() if tensor.ndim == 2 else tensor for name, tensor in tensors.items()
    },
    "more layers": lambda tensors: {
        **tensors,
        **{name.replace(".1.", ".2."): tensor.clone() for name, tensor in tensors.items()},
    },
}
MESSAGES = {
    "another prefix": "lack [0-9]+ of the [0-9]+ tensors.*would stay random.*instead, it has zzz",
    "in part": "lack [0-9]+ of the [0-9]+ tensors.*would stay random",
    "other shapes": "tensors of .* have other shapes than",
    "more layers": "tensors of layers that .* does not have: .*[.]2[.]",
}


@pytest.fixture
def changed(tmp_path):
    """`changed(folder, change)`: a copy of a model folder with changed tensors."""

    def copy(folder, change):
        shutil.copytree(folder, tmp_path / "changed")
        path = tmp_path / "changed" / "model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})
        return tmp_path / "changed"

    return copy


@pytest.mark.parametrize("kind", CHANGES)
def test_weights_that_do_not_fit_are_refused(kind, changed, tiny_study, tiny_gpt2):
    study = tiny_study(f"model_name_or_path={changed(tiny_gpt2, CHANGES[kind])}", methods={"lora": {}})
    with pytest.raises(UserError, match=MESSAGES[kind]):
        check([config for config, _ in study.resolve_all()], num_processes=1)
    with pytest.raises(UserError, match=MESSAGES[kind]):
        load_base(study.config)


def test_a_class_head_may_be_new_but_its_encoder_may_not(changed, tiny_study, classifying, tiny_bert):
    check_weights(tiny_study(**classifying).config)
    folder = changed(tiny_bert, CHANGES["in part"])
    with pytest.raises(UserError, match="would stay random: bert[.]"):
        check_weights(tiny_study(f"model_name_or_path={folder}", **classifying).config)


def test_fewer_layers_that_the_study_asks_for_are_no_error(tiny_study):
    check_weights(tiny_study("architecture={n_layer: 1}").config)


@pytest.mark.parametrize("base", ["tiny_gpt2", "tiny_bert"])
def test_a_folder_without_tokenizer_files_is_refused(base, tmp_path, tiny_study, request):
    shutil.copytree(request.getfixturevalue(base), tmp_path / "bare")
    for path in (tmp_path / "bare").glob("*token*"):
        path.unlink()
    with pytest.raises(UserError, match="has no vocabulary, only [0-9]+ special tokens"):
        load_tokenizer(tiny_study(f"model_name_or_path={tmp_path / 'bare'}").config)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tiny_study):
    config = tiny_study().config
    tokenizer, base = load_tokenizer(config), base_on_meta(config)
    check_vocabulary("it", tokenizer, base)
    base.set_input_embeddings(torch.nn.Embedding(len(tokenizer) - 1, 4, device="meta"))
    with pytest.raises(UserError, match="set tokenizer_name_or_path to the model's own tokenizer"):
        check_vocabulary("it", tokenizer, base)


def test_texts_of_unknown_words_are_refused():
    words = Tokenizer(WordLevel({"[UNK]": 0, "the": 1, "fox": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    known, unknown = tokenizer("the fox"), tokenizer("le renard et loup")
    check_known("it", tokenizer, [known, unknown])
    with pytest.raises(UserError, match="4 of 4 tokens of the texts are unknown to the tokenizer of it"):
        check_known("it", tokenizer, [unknown])
