"""The factory: settings reach model and TrainingArguments, and parameter counts are exact without any download."""

import pytest
from tiny import METHODS, tiny_tokenizer

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.loading import base_on_meta
from hf_peft_compare.models.trainable_parameters import count_parameters
from hf_peft_compare.planning.meta_models import build_on_meta, check_lengths

# GPT-2 small: vocabulary 50,257, positions 1,024, width 768, 12 blocks.
H, V, BLOCKS = 768, 50_257, 12
# Of each block: two layer norms, attention (768 → 2304 → 768) and MLP (768 → 3072 → 768), with biases.
BLOCK = 2 * 2 * H + H * 3 * H + 3 * H + H * H + H + 2 * 4 * H * H + 4 * H + H
GPT2 = ["init=config", "architecture={model_type: gpt2}"]


@pytest.fixture(scope="module")
def gpt2_on_meta():
    study = load_study("gpt2-cnn-dailymail", GPT2)
    return base_on_meta(study.config)


def count(base, *overrides, row):
    study = load_study("gpt2-cnn-dailymail", [*GPT2, *overrides])
    return count_parameters(build_on_meta(study.resolve(row=row, seed=0)[0], base, tiny_tokenizer()))


# Reference counts: course report, 2024; each recomputed from the architecture alone.
@pytest.mark.parametrize(
    ("row", "trainable_params", "total_params"),
    [
        ("zero_shot", 0, 124_439_808),
        ("prompt_tuning", 4_608, 124_439_808 + 4_608),
        ("last_layers", 45_685_248, 124_439_808 + V * H),  # the head is untied: a second V × H
        ("last_layer_head", 38_597_376, 124_439_808 + V * H),
        ("lora", 4_718_592, 129_158_400),
        ("full", 124_439_808, 124_439_808),
    ],
)
def test_parameter_counts_of_the_main_study_are_those_of_its_reference(
    row, trainable_params, total_params, gpt2_on_meta
):
    assert count(gpt2_on_meta, row=row) == {"trainable_params": trainable_params, "total_params": total_params}


@pytest.mark.parametrize("num_virtual_tokens", [1, 20, 100])
def test_a_soft_prompt_has_virtual_tokens_times_width_parameters(num_virtual_tokens, gpt2_on_meta):
    found = count(gpt2_on_meta, f"methods.prompt_tuning.num_virtual_tokens={num_virtual_tokens}", row="prompt_tuning")
    assert found["trainable_params"] == num_virtual_tokens * H


@pytest.mark.parametrize("num_layers", [0, 2, 12])
def test_last_layers_train_the_head_and_whole_blocks(num_layers, gpt2_on_meta):
    found = count(gpt2_on_meta, f"methods.last_layers.num_layers={num_layers}", row="last_layers")
    assert found["trainable_params"] == V * H + num_layers * BLOCK


@pytest.mark.parametrize("r", [1, 8, 64])
def test_lora_has_rank_times_both_widths_per_adapted_matrix(r, gpt2_on_meta):
    found = count(gpt2_on_meta, f"methods.lora.r={r}", row="lora")
    assert found["trainable_params"] == BLOCKS * r * (H + 3 * H)  # c_attn is 768 × 2304
    both = count(gpt2_on_meta, f"methods.lora.r={r}", "methods.lora.target_modules=[c_attn, c_fc]", row="lora")
    assert both["trainable_params"] == BLOCKS * r * ((H + 3 * H) + (H + 4 * H))


@pytest.mark.parametrize(
    ("row", "settings", "trainable_params"),
    [
        (
            "dora",
            {"method": "lora", "r": 8, "use_dora": True},
            BLOCKS * (8 * (4 + 2 + 5 + 5) * H + (3 + 1 + 4 + 1) * H),
        ),  # four layers of both widths in each block, and a magnitude per output
        (
            "prefix",
            {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 5},
            5 * BLOCKS * 2 * H,
        ),  # key and value per block
        ("soft", {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 5}, 5 * H),
    ],
)
def test_peft_methods_are_counted_alike(row, settings, trainable_params, gpt2_on_meta):
    assert count(gpt2_on_meta, f"methods.{row}={settings}", row=row)["trainable_params"] == trainable_params


def test_counting_changes_nothing_in_the_base(gpt2_on_meta):
    for row in ("last_layers", "lora"):
        count(gpt2_on_meta, row=row)
    assert count_parameters(gpt2_on_meta)["total_params"] == 124_439_808
    assert all(p.is_meta for p in gpt2_on_meta.parameters())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"peft_type": "LORA", "inference_mode": True}, "method row: its settings leave nothing to train"),
        ({"peft_type": "LORA", "r": -1}, "method row: peft cannot adapt this model .*`r` should be a positive integer"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": "x"}, "method row: peft: num_virtual_tokens is 'x'"),
    ],
)
def test_settings_that_no_run_could_have_are_found_on_meta(settings, words, tiny_study):
    config, _ = tiny_study(methods={"row": settings}).resolve(row="row", seed=0)
    base = base_on_meta(config)
    with pytest.raises(UserError, match=words):
        check_lengths(config, base)
        build_on_meta(config, base, tiny_tokenizer())


@pytest.mark.parametrize("row", METHODS)
def test_on_meta_and_for_real_the_counts_are_equal(row, build, tiny_study):
    study = tiny_study()
    on_meta = build_on_meta(study.resolve(row=row, seed=0)[0], base_on_meta(study.config), tiny_tokenizer())
    assert count_parameters(on_meta) == count_parameters(build(row).model)
