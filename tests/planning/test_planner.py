"""Plans of whole runs: totals, unknown values, rows that do not fit, and the measurements of a real run."""

from dataclasses import replace

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.planning import planner
from hf_peft_compare.planning.devices import DEVICES, MEASURED, cpu
from hf_peft_compare.planning.lengths import find_lengths
from hf_peft_compare.planning.meta_models import AnyTokenizer, local_tokenizer, plan_architecture, trace_base
from hf_peft_compare.planning.planner import SharedInputs, configs_of, plan_run, plan_study


@pytest.fixture
def plan(tiny_study):
    """`plan(row, "key=value", …, device=…)`: the plan of one run of the tiny study."""

    def make(row, *overrides, device=None, **keys):
        config, _ = tiny_study(*overrides, **keys).resolve(row=row, seed=0)
        tokenizer = local_tokenizer(config)
        shared = SharedInputs(
            base=trace_base(plan_architecture(config)),
            tokenizer=tokenizer or AnyTokenizer(),
            lengths=find_lengths(config, tokenizer),
            device=device or cpu(),
        )
        return plan_run(config, shared)

    return make


def test_a_study_is_the_sum_of_its_runs_and_seeds_share_a_plan(tiny_study):
    found = plan_study(configs_of(tiny_study("seeds=[0, 1]"), ["lora", "full"]), device="h200")
    assert [(run.row, run.seed) for run in found.runs] == [("lora", 0), ("full", 0), ("lora", 1), ("full", 1)]
    assert found.total_seconds == pytest.approx(2 * (found.runs[0].total_seconds + found.runs[1].total_seconds))
    assert found.total_flops == sum(run.total_flops for run in found.runs)
    assert found.runs[0] == replace(found.runs[2], seed=0)


def test_training_counts_steps_and_tokens(plan):
    run = plan("full")
    assert (run.num_train_steps, run.micro_batch_size) == (6, 8)  # 24 examples, 2 epochs
    assert plan("full", "training.max_steps=5").num_train_steps == 5
    assert plan("full", "training.gradient_accumulation_steps=4").micro_batch_size == 2
    assert run.flops["train"] == pytest.approx(6 * run.total_params * run.num_train_tokens, rel=0.5)


@pytest.mark.parametrize(("eval_steps", "number"), [(3, 2), (4, 2), (50, 1)])
def test_the_last_of_six_steps_is_validated_too(eval_steps, number, plan):
    each_epoch = plan("full").flops["validation"] / 2
    by_steps = plan("full", "training.eval_strategy=steps", f"training.eval_steps={eval_steps}")
    assert by_steps.flops["validation"] == number * each_epoch


def test_what_trains_nothing_only_evaluates(plan):
    run = plan("zero_shot", methods={"zero_shot": {}})
    assert run.flops["train"] == run.flops["validation"] == run.num_train_tokens == 0
    assert run.flops["test"] > 0 and run.seconds["generation"] > 0
    assert run.memory.at_train_peak == {} and run.memory.peak_bytes == run.memory.evaluation_peak_bytes


def test_solved_examples_are_read_once_where_generation_goes_on_from_a_cache(plan):
    solved = {"article": "the fox found the old mill. " * 3, "answer": "the fox found a mill."}
    few_shot = {"methods": {"few_shot": {"shots": [solved]}}, "max_length": 128}
    once, each = (
        plan("few_shot", f"generation.cache_implementation={kind}", **few_shot).flops for kind in ("dynamic", "static")
    )
    assert once["generation"] < 0.8 * each["generation"] and once["test"] == each["test"]


def test_a_split_of_unknown_size_is_noted_and_not_guessed(plan, tmp_path, tiny_gpt2):
    run = plan("full", "dataset=some/hub-name", "num_train_samples=null")
    assert run.num_train_steps is run.num_train_tokens is run.flops["train"] is run.total_seconds is None
    assert run.flops["test"] > 0 and run.trainable_params == run.total_params
    assert any("num_train_samples" in note for note in run.notes)


def test_what_does_not_fit_is_named(plan):
    needed = plan("full").memory.peak_bytes
    assert plan("full", device=replace(cpu(), memory_bytes=needed)).memory.fits
    assert not plan("full", device=replace(cpu(), memory_bytes=needed - 1)).memory.fits


def test_the_precision_is_that_of_the_device_unless_the_run_sets_it(plan):
    assert plan("full", device=DEVICES["h200"]).precision == "bf16"
    assert plan("full", device=DEVICES["t4"]).precision == "fp32"
    assert plan("full", "training.bf16=false", device=DEVICES["h200"]).precision == "fp32"
    forced = plan("full", "training.bf16=true", device=DEVICES["t4"])
    assert forced.precision == "bf16" and any("no native bf16" in note for note in forced.notes)


def test_early_stopping_makes_it_an_upper_bound(plan):
    def is_bound(*overrides):
        return any("upper bound" in note for note in plan("full", *overrides).notes)

    assert is_bound("training.num_train_epochs=9")
    assert not is_bound("training.num_train_epochs=2")  # too short to stop before its end
    assert not is_bound("training.num_train_epochs=9", "training.early_stopping_patience=null")


def test_a_kept_trunk_is_computed_once(plan):
    kept, anew = plan("last_layer_head"), plan("last_layer_head", "training.trunk_cache=false")
    assert kept.trunk_cache_bytes > 0 and anew.trunk_cache_bytes is None
    assert kept.flops["train"] < anew.flops["train"] and kept.flops["trunk"] > anew.flops["trunk"] == 0
    assert kept.flops["train"] + kept.flops["trunk"] < anew.flops["train"]
    assert plan("full").trunk_cache_bytes is None


def test_packed_rows_are_planned(plan):
    # Rows of equal length pack without loss: the same FLOPs except for attention over one long row.
    packed, padded = plan("full", "training.packing=true"), plan("full")
    assert [note for note in packed.notes if "not known" in note] == []
    assert packed.flops["train"] > padded.flops["train"]


def test_a_batch_has_no_more_rows_than_there_are_examples(plan):
    run = plan("lora", "training.train_batch_size=64")
    assert run.micro_batch_size == 24
    assert any("above the 24 train examples" in note for note in run.notes)


def test_an_unknown_optimizer_is_bad_input(plan):
    with pytest.raises(UserError, match="training settings of lora"):
        plan("lora", "training.optim=adamm")


def test_a_step_that_cannot_be_traced_leaves_the_counts(plan, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    monkeypatch.setattr(planner, "trace_parts", fail)
    run = plan("full")
    assert run.trainable_params and run.num_train_tokens
    assert run.memory is run.total_seconds is run.total_flops is None
    assert any("Tensor.item()" in note for note in run.notes)


def test_calibration_times_what_it_plans(tiny_study):
    rows = configs_of(tiny_study(), ["lora", "last_layer_head"])
    for run in plan_study(rows, calibrate=True).runs:
        assert run.time_basis == MEASURED
        assert all(run.seconds[phase] > 0 for phase in ("train", "validation", "test", "generation"))


def test_calibration_is_of_the_device_that_is_here(tiny_study):
    with pytest.raises(UserError, match="leave out --device h200"):
        plan_study(configs_of(tiny_study(), ["lora"]), device="h200", calibrate=True)


@pytest.mark.parametrize("row", ["lora", "prompt_tuning", "last_layers", "last_layer_head", "full"])
def test_a_real_run_measures_what_was_planned(row, plan, train):
    planned, record = plan(row), train(row)
    assert planned.trainable_params == record.parameters.trainable_params
    assert planned.num_train_tokens == record.throughput.num_train_tokens
    assert planned.flops["train"] == pytest.approx(record.throughput.train_flops, rel=0.1)
    assert planned.trunk_cache_bytes == (record.trunk_cache.num_bytes if record.trunk_cache else None)
    for key in ("weights_bytes", "gradients_bytes", "optimizer_bytes"):
        assert getattr(planned.memory, key) == getattr(record.memory, key)
    assert planned.memory.activations_bytes == pytest.approx(record.memory.activations_bytes, rel=0.05)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("{model_type: gpt22}", "unknown architecture.model_type 'gpt22'. Near: gpt2"),
        ("{model_type: vit}", "no model can be built from architecture vit"),
        ("{model_type: gpt2, n_head: 7}", "no model can be built from architecture gpt2: .*divisible"),
        ("{model_type: gpt2, n_embd: wide}", "no model can be built from architecture gpt2: .*n_embd"),
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused(architecture, words, tiny_study):
    study = tiny_study(f"architecture={architecture}", "model_name_or_path=some/hub-name")
    with pytest.raises(UserError, match=words):
        plan_study(configs_of(study, ["full"]))


def test_another_base_on_the_command_line_has_its_own_architecture(tiny_gpt2):
    overrides = ["model_name_or_path=some/gpt2-medium"]
    (config,) = configs_of(load_study("gpt2-cnn-dailymail", overrides), ["full"])
    assert config.architecture == {}
    (config,) = configs_of(load_study("gpt2-cnn-dailymail", [*overrides, "architecture.model_type=llama"]), ["full"])
    assert config.architecture == {"model_type": "llama"}


def test_a_local_model_is_read_and_no_other_type_is_taken_for_it(plan):
    assert plan("full", "architecture={model_type: gpt2}").total_params == plan("full").total_params
    with pytest.raises(UserError, match=r"architecture.model_type is 'llama', but .* is a gpt2"):
        plan("full", "architecture={model_type: llama}")


@pytest.mark.parametrize(
    "model_type", ["opt", "gpt_neox", "bloom", "falcon", "gemma2", "phi", "qwen3", "bert", "mamba"]
)
def test_any_causal_lm_of_transformers_is_planned(model_type, tiny_study):
    few = "num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 4, vocab_size: 300"
    sizes = f"{few}, intermediate_size: 128"
    fields = {
        "bert": f"{sizes}, is_decoder: true",
        "falcon": few,
        "bloom": "n_layer: 2, hidden_size: 64, n_head: 4, vocab_size: 300",
        "qwen3": f"{sizes}, num_key_value_heads: 2",
        "gemma2": f"{sizes}, num_key_value_heads: 2, head_dim: 16",
        "mamba": "num_hidden_layers: 2, hidden_size: 64, vocab_size: 300",
        "opt": f"{few}, ffn_dim: 128, word_embed_proj_dim: 64",
    }.get(model_type, sizes)
    study = tiny_study(f"architecture={{model_type: {model_type}, {fields}}}", "model_name_or_path=some/hub-name")
    run = plan_study(configs_of(study, ["full"]), device="h200").runs[0]
    assert run.trainable_params == run.total_params > 50_000
    assert (run.flops["train"] or 0) > 0 and run.memory.activations_bytes > 0, run.notes
