"""QLoRA: adapters over real 4-bit layers, through which gradients flow as through the weights that they stand for."""

from dataclasses import replace

import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from tiny import shake_trainables, tiny_config, tiny_tokenizer
from transformers import AutoModelForCausalLM

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.models.loading import load_base
from hf_peft_compare.models.quantization import unpack
from hf_peft_compare.models.trainable_parameters import hash_tensors, named_trainables
from hf_peft_compare.orchestration import preflight
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.training import factory
from hf_peft_compare.utils.flops import FlopCounter

ROWS = {"qlora": {"r": 4}, "lora": {"r": 4}}
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def base(request, tmp_path_factory):
    """The override that names a base, all of whose layers can be packed; GPT-2's are no `nn.Linear`."""
    config, folder = tiny_config(request.param), tmp_path_factory.mktemp(request.param)
    config.update({"n_embd": 64} if request.param == "gpt2" else {"hidden_size": 64, "head_dim": 32})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer(begins_with_bos=request.param == "llama").save_pretrained(folder)
    return f"model_name_or_path={folder}"


def packed_layers(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, Linear4bit)}


def packed_bits(model):
    """Hash all that 4-bit layers hold: the packed weights, their scales and the tables of values."""
    states = [p.quant_state for p in model.parameters() if hasattr(p, "quant_state")]
    scales = [(s.absmax, s.code, s.offset, s.state2.absmax, s.state2.code) for s in states]
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    return hash_tensors(frozen | {f"{i}.{j}": t for i, ts in enumerate(scales) for j, t in enumerate(ts)})


def unpacked_twin(model):
    """The same adapters over a plain float32 base of the weights that the packed ones stand for."""
    config, adapter = model.active_peft_config, get_peft_model_state_dict(model)
    twin = get_peft_model(unpack(model.unload()), replace(config, inference_mode=False))
    set_peft_model_state_dict(twin, adapter)
    return twin


def gradients(model):
    model.zero_grad()
    output = model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=IDS)
    output.loss.backward()
    return output.logits.detach(), {name: p.grad.clone() for name, p in named_trainables(model).items()}


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "gradient checkpointing"])
def test_gradients_are_those_through_the_dequantized_weights(checkpointing, base, build):
    settings = ("training.gradient_checkpointing=true",) if checkpointing else ()
    model = shake_trainables(build("qlora", base, *settings, methods=ROWS).model)
    logits, packed = gradients(model)
    twin = unpacked_twin(model)
    assert not any(hasattr(p, "quant_state") for p in twin.parameters())
    expected_logits, expected = gradients(twin.eval())
    torch.testing.assert_close(logits, expected_logits, atol=1e-5, rtol=1e-5)
    assert packed.keys() == expected.keys()
    for name, gradient in packed.items():
        largest = gradient.abs().max().item()
        assert largest > 1e-4
        # Float rounding differs from processor to processor, by up to 2e-5 of the largest; in bf16 by a hundredth.
        torch.testing.assert_close(gradient, expected[name], atol=1e-4 * largest, rtol=0)


def test_an_evaluation_before_changes_no_gradient_and_no_bit(base, build):
    """bitsandbytes would pack weights anew for evaluation on some CPUs, for products that have no gradients."""
    model = shake_trainables(build("qlora", base, methods=ROWS).model)
    before, bits = gradients(model), packed_bits(model)
    with torch.no_grad():
        evaluated = model.eval()(input_ids=IDS).logits
    torch.testing.assert_close(evaluated, before[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(model), before)
    assert packed_bits(model) == bits


def test_training_changes_no_bit_of_what_is_packed(base, build, train, monkeypatch):
    from hf_peft_compare.training import run as training

    seen = []

    def remember(*args, **kwargs):
        built = factory.build(*args, **kwargs)
        seen.extend([built.model, packed_bits(built.model)])
        return built

    monkeypatch.setattr(training, "build", remember)
    record = train("qlora", base, "training.learning_rate=0.05", methods=ROWS)
    model, bits = seen
    assert packed_bits(model) == bits
    assert all("lora_" in name for name in named_trainables(model))
    losses = [entry.loss for entry in record.history if entry.loss is not None]
    assert losses[-1] < losses[0]


def test_all_but_head_and_embeddings_is_packed(base, build):
    model = build("qlora", base, methods=ROWS).model
    packed = packed_layers(model)
    assert len(packed) == 2 * (4 if "gpt2" in model.config.model_type else 7)
    assert all(".h." in name or ".layers." in name for name in packed)
    assert type(model.get_output_embeddings()) is torch.nn.Linear
    for layer in packed.values():
        assert (layer.weight.quant_type, layer.weight.quant_state.nested) == ("nf4", True)


def test_the_plan_is_the_record(base, train, tiny_study):
    record = train("qlora", base, "training.num_train_epochs=1", methods=ROWS)
    plans = plan_study(configs_of(tiny_study(base, methods=ROWS))).runs
    packed, plain = (next(run for run in plans if run.row == row) for row in ("qlora", "lora"))
    assert vars(record.parameters) == {"trainable_params": packed.trainable_params, "total_params": packed.total_params}
    assert (packed.trainable_params, packed.total_params) == (plain.trainable_params, plain.total_params)
    assert record.memory.weights_bytes == packed.memory.weights_bytes < plain.memory.weights_bytes
    assert record.memory.gradients_bytes == packed.memory.gradients_bytes


def test_a_product_by_packed_weights_counts_as_one(base, build):
    model = build("qlora", base, methods=ROWS).model
    layer = next(iter(packed_layers(model).values()))
    x = torch.randn(3, layer.in_features, requires_grad=True)
    with FlopCounter() as counter:
        layer(x).sum().backward()
    assert counter.num_flops == 2 * 2 * 3 * layer.in_features * layer.out_features  # forward, and to the input


@pytest.mark.parametrize("settings", ["init=pretrained", "init=config"])
def test_a_finished_run_writes_what_it_wrote(settings, base, train, tmp_path, monkeypatch):
    train("qlora", base, settings, "training.num_train_epochs=1", folder="run", methods=ROWS)
    train("lora", base, settings, "training.num_train_epochs=1", folder="plain", methods=ROWS)
    wrote = list(read_predictions(tmp_path / "run"))
    again = predict_texts([tmp_path / "run", tmp_path / "plain"], [p["source"] for p in wrote])
    predicted = [p["prediction"] for p in again]
    assert predicted[: len(wrote)] == [p["prediction"] for p in wrote]
    assert predicted[len(wrote) :] == [p["prediction"] for p in read_predictions(tmp_path / "plain")]


def test_a_base_of_random_weights_is_packed_too(base, tiny_study):
    """The same weights are drawn as without packing, and those that are packed lie near them."""
    study = tiny_study(base, "init=config", methods=ROWS)
    loaded = {}
    for row in ROWS:
        torch.manual_seed(0)
        loaded[row] = load_base(study.resolve(row=row, seed=0)[0])
    assert any(hasattr(p, "quant_state") for p in loaded["qlora"].parameters())
    unpacked = unpack(loaded["qlora"]).state_dict()
    for name, weight in loaded["lora"].state_dict().items():
        largest = weight.abs().max()
        assert (unpacked[name] - weight).abs().max() <= 0.16 * largest, name  # half of NF4's widest gap is .152


@pytest.mark.parametrize("name", ["tiny_gpt2", "tiny_llama", "tiny_bert"])
def test_a_class_head_is_never_packed(name, build, classifying, request):
    model = build("qlora", f"model_name_or_path={request.getfixturevalue(name)}", **classifying).model
    heads = {n: p for n, p in model.named_parameters() if "score" in n or "classifier" in n or "pooler" in n}
    assert heads and not any(hasattr(p, "quant_state") for p in heads.values())
    assert any(hasattr(p, "quant_state") for p in model.parameters())


def test_other_quantization_is_a_setting(build, tiny_llama):
    row = {"qlora": {"bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False}}
    model = build("qlora", f"model_name_or_path={tiny_llama}", methods=row).model
    weight = next(p for p in model.parameters() if hasattr(p, "quant_state"))
    assert (weight.quant_type, weight.quant_state.nested) == ("fp4", False)


def test_without_bitsandbytes_a_run_says_what_to_install_and_a_plan_does_not_need_it(tiny_study, without):
    study = tiny_study(methods=ROWS)
    without("bitsandbytes")
    config, _ = study.resolve(row="qlora", seed=0)
    for attempt in (lambda: load_base(config), lambda: preflight.check([config], num_processes=1)):
        with pytest.raises(UserError, match=r'pip install "hf_peft_compare\[qlora\]"'):
            attempt()
    load_base(study.resolve(row="lora", seed=0)[0])
    assert plan_study(configs_of(study, ["qlora"])).runs[0].memory is not None


@pytest.mark.parametrize("name", ["tiny_gpt2", "tiny_llama"])
def test_layers_without_whole_blocks_are_left_as_they_are(name, build, request):
    """bitsandbytes unpacks a block that holds parts of two rows wrongly on some CPUs; here rows have 32 weights."""
    model = build("qlora", f"model_name_or_path={request.getfixturevalue(name)}", methods=ROWS).model
    packed = {layer.removesuffix(".base_layer").split(".")[-1] for layer in packed_layers(model)}
    assert packed == {"c_proj" if name == "tiny_gpt2" else "down_proj"}
    fields = {"tiny_gpt2": "n_embd: 32, n_inner: 48", "tiny_llama": "hidden_size: 32, intermediate_size: 48"}
    narrow = f"architecture={{{fields[name]}}}"
    with pytest.raises(UserError, match="no linear layer whose number of inputs is a multiple of 64"):
        build("qlora", narrow, "init=config", f"model_name_or_path={request.getfixturevalue(name)}", methods=ROWS)


def test_biases_cannot_be_trained_over_layers_that_cast_them(tiny_study):
    with pytest.raises(UserError, match="bias"):
        _ = tiny_study(methods={"qlora": {"bias": "all"}}).resolve(row="qlora", seed=0)[0].method_settings


INT8 = {"qlora": {"r": 4, "bits": 8}, "lora": {"r": 4}}


def test_a_base_in_8_bits_trains_its_adapters_alone_and_merges_into_a_plain_model(base, build):
    model = build("qlora", base, methods=INT8).model
    layers = [m for m in model.modules() if isinstance(m, Linear8bitLt)]
    assert layers and all(m.weight.dtype == torch.int8 for m in layers) and not packed_layers(model)
    before = torch.cat([m.weight.flatten() for m in layers])
    model = shake_trainables(model)
    logits, packed = gradients(model)
    assert packed and all(gradient.abs().max() > 0 for gradient in packed.values())
    assert torch.equal(before, torch.cat([m.weight.flatten() for m in layers]))
    merged = get_method("qlora").merge(model)
    assert not any(isinstance(m, Linear8bitLt) for m in merged.modules())
    kept = merged(input_ids=IDS).logits[:, -logits.shape[1] :]
    # The packed layers round their inputs too, each by up to half a 127th of its largest number.
    assert (kept - logits).abs().max() < 0.15 * logits.abs().max()


def test_a_run_in_8_bits_learns_and_is_planned_at_its_size(base, train, tiny_study, tmp_path):
    record = train("qlora", base, "training.learning_rate=0.05", folder="run", methods=INT8)
    losses = [entry.eval_loss for entry in record.history if entry.eval_loss is not None]
    assert losses[-1] < losses[0] and record.card.title == "LoRA on 8 bits"
    plans = plan_study(configs_of(tiny_study(base, methods=INT8))).runs
    packed, plain = (next(run for run in plans if run.row == row) for row in ("qlora", "lora"))
    assert packed.total_params == plain.total_params == record.parameters.total_params
    assert record.memory.weights_bytes == packed.memory.weights_bytes < plain.memory.weights_bytes
    texts = ["The fox of Anna"]
    assert [p["prediction"] for p in predict_texts([tmp_path / "run"], texts)]
