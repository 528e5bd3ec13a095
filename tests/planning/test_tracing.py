"""A trace without values has the memory and the FLOPs of a real training step."""

import weakref
from math import prod

import bitsandbytes  # noqa: F401 - registers its operations
import pytest
import torch
from tiny import METHODS, NO_DROPOUT
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from hf_peft_compare.planning.devices import DEVICES, cpu
from hf_peft_compare.planning.lengths import Shape
from hf_peft_compare.planning.meta_models import (
    build_on_meta,
    load_architecture,
    make_batch,
    make_optimizer,
    trace_base,
)
from hf_peft_compare.planning.tracing import trace_forward, trace_step

CPU_ATTENTION = {  # unknown to FlopCounterMode
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda *args, **_: sdpa_flop_count(*args[:3]),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *args, **_: sdpa_backward_flop_count(
        *args[:4]
    ),
}
# Of shapes, as all of them: columns [..., K] by packed weights [N, K].
PACKED_PRODUCT = {
    torch.ops.bitsandbytes.gemm_4bit: lambda x, packed, shape, *args, out_shape=None, **kwargs: 2 * prod(x) * shape[0]
}
SHAPE = Shape(num_rows=4, width=40, num_completion_tokens=5)
# transformers refuses gradient checkpointing with prefix tuning, whose cache it would fill twice.
CHECKPOINTED = [row for row in METHODS if row != "prefix_tuning"]


@pytest.fixture
def trace(tiny_study):
    """`trace(row, "key=value", …)`: the trace of a step of one run of the tiny study."""

    def make(row, *overrides, shape=SHAPE, device=None, bf16=False, accumulates=False):
        device = device or cpu()
        config, _ = tiny_study(*overrides).resolve(row=row, seed=0)
        model = build_on_meta(config, trace_base(load_architecture(config)), Tokenizer())
        optimizer = make_optimizer(model, config, device)
        return trace_step(model, make_batch(shape), optimizer, device=device, bf16=bf16, accumulates=accumulates)

    return make


class Tokenizer:
    """Any text is the token 0."""

    name_or_path = ""
    padding_side = "left"

    def __call__(self, text, **settings):
        return {"input_ids": [0]}


@pytest.fixture
def measure(build):
    """`measure(row, "key=value", …)`: bytes and FLOPs of a real step on the CPU."""

    def make(row, *overrides, bf16=False):
        built = build(row, *overrides)
        model, batch = built.model.train(), padded(make_batch(SHAPE, device="cpu"))
        model.config.use_cache = False
        parameters, saved = storages(model.parameters()), []
        hooks = saved_tensors_hooks(lambda tensor: saved.append(weakref.ref(tensor)) or tensor, lambda tensor: tensor)
        with hooks, torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = model(**batch).loss
        kept = storages(tensor() for tensor in saved if tensor() is not None)
        loss.backward()
        model.zero_grad()
        counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION | PACKED_PRODUCT)
        with counter:
            model(**batch).loss.backward()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained)
        optimizer.step()
        state = [value for values in optimizer.state.values() for value in values.values()]
        return {
            "gradients_bytes": sum(storages(parameter.grad for parameter in trained).values()),
            "optimizer_bytes": sum(storages(state).values()),
            "activations_bytes": sum(size for address, size in kept.items() if address not in parameters),
            "flops": counter.get_total_flops(),
        }

    return make


def padded(batch):
    """Make rows of a batch start with padding, as in real batches; without padding, attention needs no mask."""
    batch["attention_mask"][0, :3] = 0
    return batch


def storages(tensors):
    """Bytes of distinct storages by address."""
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}


def planned(trace):
    """Return the same values as `measure`, from a trace."""
    flops = sum(op.flops * count for ops in (trace.forward, trace.backward) for op, count in ops.items())
    parts = ("gradients_bytes", "optimizer_bytes", "activations_bytes")
    return {**{part: getattr(trace, part) for part in parts}, "flops": flops}


@pytest.mark.parametrize("overrides", [[], [NO_DROPOUT]], ids=["dropout", "no dropout"])
@pytest.mark.parametrize("row", METHODS)
def test_a_traced_step_takes_what_a_real_one_takes(row, overrides, trace, measure):
    assert planned(trace(row, *overrides)) == measure(row, *overrides)


@pytest.mark.parametrize("row", METHODS)
def test_of_llama_too(row, trace, measure, tiny_llama):
    base = f"model_name_or_path={tiny_llama}"
    assert planned(trace(row, base)) == measure(row, base)


@pytest.mark.parametrize("row", CHECKPOINTED)
def test_with_gradient_checkpointing_too(row, trace, measure):
    checkpointing = "training.gradient_checkpointing=true"
    assert planned(trace(row, checkpointing)) == measure(row, checkpointing)


@pytest.mark.parametrize("row", ["full", "lora"])
def test_with_gradient_checkpointing_over_a_fused_attention(row, trace, measure, tiny_llama):
    overrides = (f"model_name_or_path={tiny_llama}", "training.gradient_checkpointing=true")
    assert planned(trace(row, *overrides)) == measure(row, *overrides)


def test_an_untied_head_is_a_second_matrix(trace, measure):
    untied = ["architecture.tie_word_embeddings=false", "init=config"]
    assert planned(trace("full", *untied)) == measure("full", *untied)
    assert trace("full", *untied).gradients_bytes - trace("full").gradients_bytes == 300 * 32 * 4


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch", "adamw_torch_fused", "adafactor"])
def test_the_optimizer_of_the_run_is_the_one_planned(optim, trace):
    # Of a matrix, Adam keeps two copies, Adafactor a row and a column, SGD nothing.
    adam, found = trace("full").optimizer_bytes, trace("full", f"training.optim={optim}").optimizer_bytes
    assert {"sgd": found == 0, "adafactor": 0 < found < adam / 4}.get(optim, found == adam)


def test_the_peak_is_made_of_its_parts(trace):
    lora = trace("lora")
    assert lora.at_peak["trainables"] == lora.gradients_bytes
    assert lora.at_peak["weights"] == trace("full").gradients_bytes  # of all that LoRA leaves frozen
    assert lora.at_peak["optimizer"] == lora.optimizer_bytes
    assert lora.at_peak["activations"] + lora.at_peak["logits"] >= lora.activations_bytes


def test_gradients_of_an_earlier_micro_batch_exist_during_the_next(trace):
    alone, accumulated = trace("full"), trace("full", accumulates=True)
    assert alone.at_peak["gradients"] < alone.gradients_bytes == accumulated.at_peak["gradients"]


@pytest.mark.parametrize("row", ["full", "lora", "prompt_tuning"])
def test_more_rows_and_more_columns_take_more(row, trace):
    wide, high = trace(row, shape=SHAPE._replace(width=80)), trace(row, shape=SHAPE._replace(num_rows=8))
    for larger in (wide, high):
        assert larger.activations_bytes > 1.5 * trace(row).activations_bytes
        assert sum(larger.at_peak.values()) > sum(trace(row).at_peak.values())


@pytest.mark.parametrize("row", ["full", "lora", "prompt_tuning"])
def test_gradient_checkpointing_keeps_less_and_computes_more(row, trace):
    plain, checkpointed = planned(trace(row)), planned(trace(row, "training.gradient_checkpointing=true"))
    assert checkpointed["activations_bytes"] < plain["activations_bytes"]
    assert checkpointed["flops"] > plain["flops"]


def test_a_gpu_keeps_no_attention_probabilities(trace):
    # The CPU has no fused attention with dropout: it keeps heads × T² scores of every block.
    difference = trace("full").activations_bytes - trace("full", device=DEVICES["t4"]).activations_bytes
    probabilities = 2 * SHAPE.num_rows * 2 * SHAPE.width**2 * 4
    assert difference > probabilities


def test_in_bf16_activations_are_smaller_and_weights_are_cast_once(trace):
    in_float, in_bf16 = trace("full", device=DEVICES["h200"]), trace("full", device=DEVICES["h200"], bf16=True)
    assert in_bf16.activations_bytes < in_float.activations_bytes
    for part in ("gradients_bytes", "optimizer_bytes"):
        assert getattr(in_bf16, part) == getattr(in_float, part)
    assert sum(op.flops * n for op, n in in_bf16.forward.items() if op.half) == sum(
        op.flops * n for op, n in in_float.forward.items()
    )


@pytest.mark.parametrize("base", ["tiny_gpt2", "tiny_llama"])
@pytest.mark.parametrize("row", METHODS)
def test_in_bf16_a_backward_pass_keeps_cast_weights_but_no_unpacked_ones(row, base, trace, measure, request):
    base = f"model_name_or_path={request.getfixturevalue(base)}"
    assert trace(row, base, bf16=True).activations_bytes == measure(row, base, bf16=True)["activations_bytes"]


def test_a_cache_holds_keys_and_values_of_every_column(tiny_study):
    config, _ = tiny_study().resolve(row="full", seed=0)
    model = build_on_meta(config, trace_base(load_architecture(config)), Tokenizer())
    trace = trace_forward(model, {**make_batch(SHAPE), "use_cache": True}, device=cpu())
    assert trace.cache_bytes == 2 * 2 * SHAPE.num_rows * SHAPE.width * 32 * 4  # keys and values of two blocks
    assert trace.peak_bytes > trace.cache_bytes + trace.weights_bytes
