"""Settings of speed change no result: losses agree to float rounding, texts to the letter."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import METHODS, NO_DROPOUT, known, shake_trainables, token_rows

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.evaluation.generation import generate_tokens

FAST = "training.learning_rate=0.01"
COMPILE = "training={torch_compile: true, torch_compile_backend: eager}"  # traced, but run as ever: needs no compiler
# Tracing takes seconds, so compiled are one of ours, one of peft's adapters and one that is partly frozen.
COMPILED = ["prompt_tuning", "lora", "last_layers"]


def assert_alike(one, other):
    """Both records have the same curves, scores and initial weights."""
    assert one.initial_trainables_sha256 == other.initial_trainables_sha256
    assert len(one.history) == len(other.history) == 8  # six steps and two evaluations
    for entry, same in zip(one.history, other.history, strict=True):
        assert known(entry) == pytest.approx(known(same), abs=1e-5, rel=1e-4)
    assert one.results == pytest.approx(other.results, abs=1e-5)


@pytest.mark.parametrize(
    ("slow", "fast"),
    [
        pytest.param("training.optim=adamw_torch", "training.optim=adamw_torch_fused", id="fused optimizer"),
        pytest.param("training.dataloader_num_workers=0", "training.dataloader_num_workers=1", id="workers"),
        pytest.param("attn_implementation=eager", "attn_implementation=sdpa", id="attention"),
    ],
)
def test_training_gives_the_same_losses(slow, fast, train):
    assert_alike(train("lora", NO_DROPOUT, FAST, slow, folder="slow"), train("lora", NO_DROPOUT, FAST, fast))


@pytest.mark.parametrize("row", COMPILED)
def test_compiled_training_gives_the_same_losses_and_files(row, train, tmp_path):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = train(row, NO_DROPOUT, FAST, COMPILE)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert not torch._dynamo.utils.counters["graph_break"]  # one graph holds the whole model
    assert_alike(train(row, NO_DROPOUT, FAST, folder="plain"), compiled)
    names, plain_names = (_names(tmp_path / folder / "model") for folder in (f"{row}-seed0", "plain"))
    assert names == plain_names != []  # none of them begins with the compiled model's _orig_mod


def _names(folder):
    return sorted(name for path in folder.glob("*.safetensors") for name in load_file(path))


def test_a_compiled_run_goes_on_from_its_checkpoint(train, interrupt_at):
    settings = (NO_DROPOUT, FAST, COMPILE)
    whole = train("prompt_tuning", *settings, folder="whole")
    steps = interrupt_at(5)
    with pytest.raises(KeyboardInterrupt):
        train("prompt_tuning", *settings, folder="interrupted")
    assert_alike(train("prompt_tuning", *settings, folder="interrupted"), whole)
    assert steps[5:] == [3, 4, 5]


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("row", METHODS)
def test_a_static_cache_gives_the_same_text(row, num_beams, build):
    built = build(row)
    shake_trainables(built.model)
    prompts = [row["input_ids"] for row in token_rows([9, 30, 17, 25])]

    def generate(cache):
        generation = GenerationConfig(max_new_tokens=12, num_beams=num_beams, cache_implementation=cache)
        return generate_tokens(built.model, built.tokenizer, prompts, generation=generation, batch_size=3)

    texts = generate("dynamic")
    assert generate("static") == texts
    assert len({tuple(text) for text in texts}) > 1  # they depend on what was read
