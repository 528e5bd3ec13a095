"""The base model's config: the saved one with the study's own fields, and nothing but fields."""

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import base_on_meta


def test_architecture_fields_stand_over_the_models_own(build, tiny_study):
    assert load_architecture(tiny_study("architecture={resid_pdrop: 0.0}").config).resid_pdrop == 0.0
    assert load_architecture(tiny_study().config).resid_pdrop == 0.1  # GPT-2's default
    assert build("full", "architecture={resid_pdrop: 0.0}").model.config.resid_pdrop == 0.0


ARGUMENTS = (
    "token",
    "cache_dir",
    "force_download",
    "return_unused_kwargs",
    "quantization_config",
    "attn_implementation",
)


@pytest.mark.parametrize("key", ARGUMENTS)
def test_arguments_of_the_loader_are_no_fields_of_an_architecture(key, tiny_study):
    for init in ("pretrained",) if key == "quantization_config" else ("pretrained", "config"):
        study = tiny_study(f"architecture={{model_type: gpt2, {key}: true}}", f"init={init}")
        with pytest.raises(UserError, match=f"unknown field of GPT2Config in architecture '{key}'"):
            load_architecture(study.config)


def test_a_misspelt_field_has_the_nearest_one_in_its_error(tiny_study):
    with pytest.raises(UserError, match="'n_laver'. Did you mean 'n_layer'"):
        load_architecture(tiny_study("architecture={n_laver: 1}").config)


def test_a_kernel_of_the_hub_is_no_attention_of_a_study(tiny_study):
    with pytest.raises(UserError, match="a kernel whose code the Hub would send"):
        load_architecture(tiny_study("attn_implementation=someone/kernel").config)


@pytest.mark.parametrize("init", ["pretrained", "config"])
def test_fields_that_no_model_can_have_are_one_error(init, tiny_study):
    study = tiny_study("architecture={n_head: 3}", f"init={init}")
    with pytest.raises(UserError, match="no model can be built from architecture gpt2: .*divisible by num_heads"):
        base_on_meta(study.config)
    with pytest.raises(UserError, match="no model can be built from architecture gpt2: .*n_layer"):
        load_architecture(tiny_study("architecture={n_layer: many}", f"init={init}").config)


def test_an_architecture_that_is_no_name_is_one_error(tiny_study):
    with pytest.raises(UserError, match="unknown architecture.model_type"):
        load_architecture(tiny_study("architecture={model_type: [gpt2]}", "init=config").config)


@pytest.mark.parametrize("trained", [["no", "maybe", "yes"], ["Yes", "maybe", "no"]])
def test_a_class_head_with_the_classes_in_another_order_is_refused(trained, tiny_bert, tiny_study, tmp_path):
    """Models of MNLI differ in it: scored as it is, such a head is wrong where it is right."""
    from transformers import AutoModelForSequenceClassification

    names = {"id2label": dict(enumerate(trained)), "label2id": {name: i for i, name in enumerate(trained)}}
    AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3, **names).save_pretrained(tmp_path)

    def load(*labels):
        task = {"name": "sequence_classification", "labels": list(labels)}
        return load_architecture(tiny_study(f"model_name_or_path={tmp_path}", task=task).config).id2label

    assert load(*map(str.lower, trained)) == dict(enumerate(map(str.lower, trained)))
    assert load("low", "middle", "high")  # renamed: nobody can tell
    with pytest.raises(
        UserError, match=rf"{tmp_path} has the classes \w+, maybe, \w+, and the study has maybe, no, yes"
    ):
        load("maybe", "no", "yes")
