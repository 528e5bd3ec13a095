"""What was trained elsewhere is scored as the rows of the study are."""

import json

import pytest
import torch
from tiny import save_tiny_model, tiny_model
from transformers import BertConfig, BertForSequenceClassification

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.methods.checkpoint import CheckpointSettings
from hf_peft_compare.models.trainable_parameters import count_parameters
from hf_peft_compare.planning.meta_models import AnyTokenizer, build_on_meta, plan_architecture, trace_base

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def build(checkpoint, base=None, **settings):
    given = CheckpointSettings(checkpoint=str(checkpoint), **settings)
    return get_method("checkpoint").build(base or tiny_model(), given, None)


@pytest.mark.parametrize("row", ["lora", "prompt_tuning", "ia3", "full"])
def test_a_trained_row_scores_the_same_as_a_checkpoint(row, train, tmp_path):
    trained = train(row, folder="trained")
    mine = {"mine": {"checkpoint": str(tmp_path / "trained/model")}}
    again = train("mine", methods=mine, folder="mine")
    assert again.results == pytest.approx(trained.results, rel=1e-5)
    assert again.validation is None and again.seconds.train == 0
    adapter = trained.parameters.trainable_params if row != "full" else 0
    assert again.parameters.trainable_params == adapter
    loaded, original = load_run(tmp_path / "mine").model, load_run(tmp_path / "trained").model
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=IDS).logits, original(input_ids=IDS).logits)


def test_its_parameters_are_counted_before_anything_is_loaded(train, tiny_study, tmp_path):
    trained = train("lora", folder="trained")
    study = tiny_study(methods={"mine": {"checkpoint": str(tmp_path / "trained/model")}})
    config, _ = study.resolve(row="mine", seed=0)
    model = build_on_meta(config, trace_base(plan_architecture(config)), AnyTokenizer())
    assert count_parameters(model)["trainable_params"] == trained.parameters.trainable_params


def test_a_checkpoint_that_changes_is_scored_again(tiny_study, train, tmp_path):
    from hf_peft_compare.config.identity import identity_of

    train("lora", folder="trained")
    folder = tmp_path / "trained/model"
    config, _ = tiny_study(methods={"mine": {"checkpoint": str(folder)}}).resolve(row="mine", seed=0)
    before = identity_of(config).inputs
    (folder / "adapter_config.json").write_text((folder / "adapter_config.json").read_text() + " ")
    assert identity_of(config).inputs != before


@pytest.fixture
def adapter(tmp_path):
    """A folder with a LoRA for the tiny GPT-2, and a function that changes its config."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path / "adapter"
    get_peft_model(tiny_model(), LoraConfig(task_type="CAUSAL_LM")).save_pretrained(folder)

    def change(**values):
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return folder

    return change


def test_an_adapter_of_another_base_is_refused_and_both_are_named(adapter):
    base = tiny_model()
    base.config._name_or_path = "gpt2-large"
    folder = adapter(base_model_name_or_path="openai-community/gpt2")
    with pytest.raises(UserError, match="was trained on openai-community/gpt2, and the study's base is gpt2-large"):
        build(folder, base)
    assert build(folder, base, any_base=True) is not None


def test_a_base_in_a_folder_of_the_same_name_is_the_same(adapter):
    base = tiny_model()
    base.config._name_or_path = "./models/gpt2"
    assert build(adapter(base_model_name_or_path="openai-community/gpt2"), base) is not None


def test_an_adapter_for_another_head_is_refused(adapter):
    with pytest.raises(UserError, match="is for SEQ_CLS, and the row's head is CAUSAL_LM"):
        build(adapter(task_type="SEQ_CLS"))


def test_an_adapter_of_other_sizes_is_refused(adapter):
    with pytest.raises(UserError, match="does not fit the base: .*size mismatch"):
        build(adapter(r=3))


def test_a_folder_that_is_neither_is_refused(tmp_path):
    with pytest.raises(UserError, match="a folder without adapter_config.json and config.json"):
        build(tmp_path)


def test_a_model_of_another_architecture_is_refused(tmp_path):
    with pytest.raises(UserError, match="tensors are missing or of another shape|cannot be loaded as GPT2LMHeadModel"):
        build(save_tiny_model("llama", tmp_path / "llama"))


def test_an_adapter_that_makes_peft_import_a_module_is_refused(adapter):
    with pytest.raises(UserError, match="sets megatron_core, which imports a module"):
        build(adapter(megatron_core="os"))


def classifier(names, folder=None, **fields):
    """A tiny BERT with these classes, saved if a folder is given."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    classes = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    model = BertForSequenceClassification(BertConfig(**{"num_hidden_layers": 2} | sizes | classes | fields))
    if folder is not None:
        model.save_pretrained(folder)
    return model


def test_classes_in_another_order_are_refused(tmp_path):
    """Models of MNLI differ in it, and would be right where they are wrong."""
    classifier(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], tmp_path)
    with pytest.raises(
        UserError, match="classes contradiction, neutral, entailment, and the study has entailment, neu"
    ):
        build(tmp_path, classifier(["entailment", "neutral", "contradiction"]))
    build(tmp_path, classifier(["contradiction", "neutral", "entailment"]))
    build(tmp_path, classifier(["no", "maybe", "yes"]))  # renamed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_hidden_layers": 3}, "does not fit the base: 16 of 41 tensors are missing"),
        ({"hidden_act": "relu"}, "computes other logits than the base with its weights: other fields of their configs"),
    ],
)
def test_a_model_of_another_config_is_refused(fields, message, tmp_path):
    classifier(["no", "yes"], tmp_path, initializer_range=0.5, **fields)
    with pytest.raises(UserError, match=message):
        build(tmp_path, classifier(["no", "yes"]))
