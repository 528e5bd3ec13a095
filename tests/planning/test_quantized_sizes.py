"""A quantized base has the parameter count of the original, and the memory of its stored weights."""

import pytest

from hf_peft_compare.planning.planner import configs_of, plan_study

LLAMA = "model_type: llama, num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 4, intermediate_size: 128"
# Weights of each layer of the blocks, and its outputs; norms, embedding and head are not packed.
LAYERS = [(64 * 64, 64)] * 8 + [(64 * 128, 128)] * 4 + [(64 * 128, 64)] * 2


@pytest.fixture
def plan(tiny_study):
    """`plan(row, quantization)`: the plan of one row over a Llama with this `quantization_config`."""

    def make(row, settings=None):
        fields = f"{LLAMA}, vocab_size: 300" + (f", quantization_config: {settings}" if settings else "")
        study = tiny_study(f"architecture={{{fields}}}", "model_name_or_path=some/hub-name")
        return plan_study(configs_of(study, [row]), device="h200").runs[0]

    return make


@pytest.mark.parametrize(
    ("settings", "bytes_of"),
    [
        # 4 bits; per 64 weights a scale of 4 bytes, or of 1 byte and 4 more per 256; tables of 16 and 256 values.
        ("{quant_method: bitsandbytes, load_in_4bit: true}", lambda n, outputs: n / 2 + 4 * n / 64 + 64),
        (
            "{quant_method: bitsandbytes, load_in_4bit: true, bnb_4bit_use_double_quant: true}",
            lambda n, outputs: n / 2 + n / 64 + 4 + 64 + 4 * 256 + 4,
        ),
        ("{quant_method: bitsandbytes, load_in_8bit: true}", lambda n, outputs: n + 4 * outputs),
        ("{quant_method: gptq, bits: 4}", lambda n, outputs: n / 2),
    ],
)
def test_packed_weights_take_fewer_bytes_and_are_as_many(settings, bytes_of, plan):
    packed, plain = plan("lora", settings), plan("lora")
    assert (packed.trainable_params, packed.total_params) == (plain.trainable_params, plain.total_params)
    saved = plain.memory.weights_bytes - packed.memory.weights_bytes
    assert saved == sum(4 * n - bytes_of(n, outputs) for n, outputs in LAYERS)
    assert packed.memory.evaluation_peak_bytes < plain.memory.evaluation_peak_bytes


def test_what_is_trained_is_not_packed(plan):
    assert plan("full", "{quant_method: gptq, bits: 4}").memory.weights_bytes == plan("full").memory.weights_bytes


# Counts of references (course reports, 2024), from configs alone.
LLAMA_3_8B = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
    "max_position_embeddings": 8192,
}
ROBERTA_LARGE = {
    "model_type": "roberta",
    "vocab_size": 50_265,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
}


@pytest.mark.parametrize(
    ("architecture", "row", "trainable"),
    [
        (
            LLAMA_3_8B,
            {"method": "qlora", "r": 64, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
            54_538_240,
        ),
        (ROBERTA_LARGE, {"method": "lora", "r": 8, "target_modules": "all-linear"}, 4_591_619),
        (ROBERTA_LARGE, {"peft_type": "P_TUNING", "num_virtual_tokens": 20, "encoder_hidden_size": 128}, 1_352_963),
        (ROBERTA_LARGE, {"method": "prompt_tuning", "prompt_tuning_init": "RANDOM"}, 20 * 1024 + 1_052_675),
    ],
    ids=["llama-3-8b qlora", "roberta-large lora", "roberta-large p-tuning", "roberta-large prompt tuning"],
)
def test_counts_of_classifiers_are_those_of_their_references(architecture, row, trainable, classifying, tiny_study):
    base = {"architecture": architecture, "model_name_or_path": "some/hub-name", "methods": {"row": row}}
    (plan,) = plan_study(configs_of(tiny_study(**classifying | base)), device="h200").runs
    assert plan.trainable_params == trainable
    if row.get("method") == "qlora":  # 7,504,924,672 parameters: embedding, norms and score in float32, the rest packed
        assert 5.5e9 < plan.memory.weights_bytes < 6.5e9
