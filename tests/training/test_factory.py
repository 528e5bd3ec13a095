"""The factory: settings reach model and TrainingArguments, and parameter counts are exact without any download."""

import pytest
import torch
from tiny import METHODS, tiny_tokenizer
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.loading import base_on_meta, load_architecture, load_base, load_tokenizer
from hf_peft_compare.models.trainable_parameters import count_parameters
from hf_peft_compare.planning.meta_models import build_on_meta

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
            BLOCKS * (8 * 4 * H + 3 * H),
        ),  # and a magnitude per output
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


@pytest.mark.parametrize("row", METHODS)
def test_on_meta_and_for_real_the_counts_are_equal(row, build, tiny_study):
    study = tiny_study()
    on_meta = build_on_meta(study.resolve(row=row, seed=0)[0], base_on_meta(study.config), tiny_tokenizer())
    assert count_parameters(on_meta) == count_parameters(build(row).model)


def test_training_settings_reach_the_training_arguments(build):
    arguments = build(
        "lora",
        "training={learning_rate: 0.5, num_train_epochs: 7, weight_decay: 0.2, max_grad_norm: 0.3, warmup_ratio: 0.1, "
        "optim: adafactor, lr_scheduler_type: cosine, eval_batch_size: 5, gradient_accumulation_steps: 4}",
        seed=11,
    ).arguments
    assert arguments.learning_rate == 0.5
    assert arguments.num_train_epochs == 7
    assert arguments.weight_decay == 0.2
    assert arguments.max_grad_norm == 0.3
    assert arguments.get_warmup_steps(100) == 10
    assert (arguments.optim, arguments.lr_scheduler_type) == ("adafactor", "cosine")
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (2, 4)
    assert arguments.per_device_eval_batch_size == 5
    assert (arguments.seed, arguments.data_seed) == (11, 11)


def test_batches_are_put_together_by_other_processes_where_there_is_a_gpu(build):
    cuda = torch.cuda.is_available()
    arguments = build("lora").arguments
    assert arguments.dataloader_num_workers == (2 if cuda else 0)
    assert arguments.dataloader_persistent_workers == arguments.dataloader_pin_memory == cuda
    assert arguments.accelerator_config.non_blocking == cuda
    asked = build("lora", "training.dataloader_num_workers=3").arguments
    assert (asked.dataloader_num_workers, asked.dataloader_persistent_workers) == (3, True)


def test_nothing_is_counted_on_the_device_in_each_step(build):
    assert build("lora").arguments.include_num_input_tokens_seen == "no"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("null", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")],  # null: transformers' choice for GPT-2
)
def test_the_model_has_the_attention_that_is_asked_for(asked, expected, build):
    for row in ("full", "prompt_tuning"):
        assert build(row, f"attn_implementation={asked}").model.config._attn_implementation == expected
    assert build("full", "init=config", f"attn_implementation={asked}").model.config._attn_implementation == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nonsense", r"'nonsense': .*not supported.* Set sdpa or eager"),
        ("flash_attention_2", "needs half precision, but evaluation is in float32; set sdpa"),
        pytest.param("flex_attention", "'flex_attention'", id="which GPT-2 does not have, and no CPU"),
    ],
)
def test_an_attention_that_cannot_be_had_is_a_user_error_before_weights_are_read(asked, message, tiny_study):
    config = tiny_study(f"attn_implementation={asked}").config
    for load in (base_on_meta, load_base):
        with pytest.raises(UserError, match=f"attn_implementation is .*{message}"):
            load(config)


def test_gradients_are_clipped_at_one_in_every_run_of_the_main_study(build):
    study = load_study("gpt2-cnn-dailymail")
    assert {run.training.max_grad_norm for run, _ in study.resolve_all()} == {1.0}
    assert build("lora").arguments.max_grad_norm == 1.0


@pytest.mark.parametrize("accumulation", [3, 16])
def test_an_effective_batch_that_does_not_divide_is_a_user_error(accumulation, build):
    with pytest.raises(UserError, match=f"train_batch_size is 8; it must divide by 1 process.* × {accumulation}"):
        build("lora", f"training.gradient_accumulation_steps={accumulation}")


def test_architecture_fields_stand_over_the_models_own(build, tiny_study):
    assert load_architecture(tiny_study("architecture={resid_pdrop: 0.0}").config).resid_pdrop == 0.0
    assert load_architecture(tiny_study().config).resid_pdrop == 0.1  # GPT-2's default
    assert build("full", "architecture={resid_pdrop: 0.0}").model.config.resid_pdrop == 0.0


def test_init_config_has_the_architecture_with_random_weights(tiny_study):
    torch.manual_seed(7)
    pretrained, fresh = load_base(tiny_study().config), load_base(tiny_study("init=config").config)
    assert pretrained.config.n_embd == fresh.config.n_embd == 32
    assert not torch.equal(pretrained.transformer.wte.weight, fresh.transformer.wte.weight)


def test_the_base_is_float32_whatever_it_was_saved_as(tiny_study, tiny_gpt2, tmp_path):
    load_base(tiny_study().config).half().save_pretrained(tmp_path / "half")
    assert load_base(tiny_study(f"model_name_or_path={tmp_path / 'half'}").config).dtype == torch.float32


def test_a_tokenizer_without_pad_token_pads_with_eos_on_the_left(tiny_study):
    tokenizer = load_tokenizer(tiny_study().config)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
    assert tokenizer.padding_side == "left"


def test_a_pad_token_of_its_own_is_kept(tiny_study, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(tmp_path / "padded")
    assert load_tokenizer(tiny_study(f"tokenizer_name_or_path={tmp_path / 'padded'}").config).pad_token == "<pad>"


@pytest.mark.parametrize(
    ("special", "has"), [({}, "neither a pad nor an eos token"), ({"pad_token": "a"}, "a pad token only")]
)
def test_a_tokenizer_without_eos_is_a_user_error(special, has, tiny_study, tmp_path):
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0}, [])), **special).save_pretrained(
        tmp_path / "bare"
    )
    with pytest.raises(UserError, match=f"has {has}.*Set eos_token"):
        load_tokenizer(tiny_study(f"tokenizer_name_or_path={tmp_path / 'bare'}").config)


@pytest.mark.parametrize("name", ["someone/some-model", "./nowhere"])
def test_a_model_that_cannot_be_had_is_a_user_error(name, tiny_study):
    config = tiny_study(f"model_name_or_path={name}").config
    for load in (load_tokenizer, load_architecture, load_base):
        with pytest.raises(UserError, match="model"):
            load(config)


def test_a_model_folder_without_weights_is_a_user_error(tiny_study, tiny_gpt2, tmp_path):
    (tmp_path / "config.json").write_text((tiny_gpt2 / "config.json").read_text())
    with pytest.raises(UserError, match="cannot be read"):
        load_base(tiny_study(f"model_name_or_path={tmp_path}").config)
