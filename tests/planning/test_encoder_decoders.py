"""What a plan says of an encoder-decoder is what its real passes do, though encoder and decoder have other lengths."""

import pytest

from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.planning.devices import find_device
from hf_peft_compare.planning.estimates import count_flops, trace_parts
from hf_peft_compare.planning.lengths import Length, Shape, Shapes, _bound
from hf_peft_compare.planning.meta_models import build_on_meta, make_batch, trace_base
from hf_peft_compare.utils.flops import FlopCounter

NUM_ROWS, WIDTH, NUM_NEW = 2, 40, 8
SHAPE = Shape(NUM_ROWS, WIDTH + NUM_NEW, NUM_NEW)
SHAPES = Shapes(
    train_mean=SHAPE,
    train_largest=SHAPE,
    train_tokens=48,
    evaluation=SHAPE,
    longest_prompt=WIDTH,
    num_shared=0,
    shares={},
)


@pytest.fixture
def planned(encoder_decoder, tiny_study, build):
    """A run's config, its real model, and the FLOPs of its parts as planned."""
    settings = (encoder_decoder, f"generation.max_new_tokens={NUM_NEW}")
    config, _ = tiny_study(*settings).resolve(row="lora", seed=0)
    built = build("lora", *settings)
    model = build_on_meta(config, trace_base(load_architecture(config), head_of(config)), built.tokenizer)
    traces = trace_parts(model, config, SHAPES, find_device("cpu"), bf16=False, trunk=None)
    return built, count_flops(traces, config)


def test_the_flops_of_a_step_are_those_of_a_real_one(planned):
    built, flops = planned
    with FlopCounter() as counter:
        built.model.train()(**make_batch(SHAPE, apart=True, device="cpu")).loss.backward()
    assert flops.step == pytest.approx(counter.num_flops, rel=0.01)


def test_the_flops_of_generation_are_those_of_a_real_one_and_a_token(planned):
    built, flops = planned
    prompts = make_batch(SHAPE, apart=True, device="cpu")
    del prompts["labels"]

    def generate(num_tokens):
        counts = {"max_new_tokens": num_tokens, "min_new_tokens": num_tokens}
        with FlopCounter() as counter:
            built.model.generate(**prompts, **counts, do_sample=False, decoder_start_token_id=0)
        return counter.num_flops

    assert flops.generation == pytest.approx(generate(NUM_NEW + 1), rel=0.03)


def test_the_columns_of_a_batch_are_those_of_its_longest_prompt_and_of_its_longest_completion():
    lengths = [Length(30, 4), Length(26, 12)]
    assert _bound(lengths, False) == Length(30, 12)
    assert _bound(lengths, True) == Length(26 + 12, 12)
