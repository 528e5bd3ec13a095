"""A quantised base has the parameters that it stands for, and takes the memory of what is stored."""

import pytest

from hf_peft_compare.planning.planner import configs_of, plan_study

LLAMA = "model_type: llama, num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 4, intermediate_size: 128"
LINEAR = 2 * (4 * 64 * 64 + 3 * 64 * 128)  # weights of the blocks; norms, embedding and head are not packed


@pytest.fixture
def plan(tiny_study):
    """`plan(row, quantisation)`: the plan of one row over a Llama with this `quantization_config`."""

    def make(row, settings=None):
        fields = f"{LLAMA}, vocab_size: 300" + (f", quantization_config: {settings}" if settings else "")
        study = tiny_study(f"architecture={{{fields}}}", "model_name_or_path=some/hub-name")
        return plan_study(configs_of(study, [row]), device="h200").runs[0]

    return make


@pytest.mark.parametrize(
    ("settings", "bits"),
    [
        ("{quant_method: bitsandbytes, load_in_4bit: true}", 4.5),
        ("{quant_method: bitsandbytes, load_in_4bit: true, bnb_4bit_use_double_quant: true}", 4.127),
        ("{quant_method: bitsandbytes, load_in_8bit: true}", 8),
        ("{quant_method: gptq, bits: 4}", 4),
    ],
)
def test_packed_weights_take_fewer_bytes_and_are_as_many(settings, bits, plan):
    packed, plain = plan("lora", settings), plan("lora")
    assert (packed.trainable_params, packed.total_params) == (plain.trainable_params, plain.total_params)
    saved = plain.memory.weights_bytes - packed.memory.weights_bytes
    assert saved == pytest.approx(LINEAR * (32 - bits) / 8, rel=1e-3)
    assert packed.memory.peak_bytes < plain.memory.peak_bytes


def test_what_is_trained_is_not_packed(plan):
    assert plan("full", "{quant_method: gptq, bits: 4}").memory.weights_bytes == plan("full").memory.weights_bytes
