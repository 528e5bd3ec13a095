"""What all prompts begin with is read once, and changes no score and no text."""

import pytest
from tiny import METHODS, save_tiny_model, shake_trainables, token_rows
from transformers import MistralConfig, MistralForCausalLM

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.data.completions import FEWEST_SHARED, prompt_of
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.scoring import score_candidates, score_completions
from hf_peft_compare.evaluation.shared_start import SharedStart

START = token_rows([FEWEST_SHARED + 4], seed=5)[0]["input_ids"]
ROWS = [{**row, "input_ids": START + row["input_ids"]} for row in token_rows([9, 30, 17, 25])]
PROMPTS = [prompt_of(row) for row in ROWS]


@pytest.fixture(params=[(row, base) for row in METHODS for base in ("gpt2", "llama")], ids=" on ".join)
def built(request, build, tmp_path):
    """A row with shaken trainables on a tiny base."""
    row, base = request.param
    built = build(row, model_name_or_path=str(save_tiny_model(base, tmp_path / base)))
    shake_trainables(built.model)
    return built


def test_losses_are_those_of_each_row_alone(built):
    scored = score_completions(built.model, ROWS, pad_token_id=0, batch_size=3)
    alone = [score_completions(built.model, [row], pad_token_id=0, batch_size=1)[0] for row in ROWS]
    assert [n for _, n in scored] == [n for _, n in alone]
    assert [nats for nats, _ in scored] == pytest.approx([nats for nats, _ in alone], abs=1e-4)


def test_texts_are_those_of_each_prompt_alone(built):
    generation = GenerationConfig(max_new_tokens=6)
    settings = {"generation": generation, "batch_size": 3}
    shared = generate_tokens(built.model, built.tokenizer, PROMPTS, share_start=True, **settings)
    assert shared == [generate_tokens(built.model, built.tokenizer, [ids], **settings)[0] for ids in PROMPTS]


def test_the_start_is_read_once_for_all_batches(build, count_tokens):
    model = build("full").model
    read = count_tokens(model)
    score_completions(model, ROWS, pad_token_id=0, batch_size=1)
    assert sorted(read) == sorted([len(START), 9, 30, 17, 25])


def test_the_start_of_candidates_is_read_once_for_all_examples(build, count_tokens):
    model = build("full").model
    read = count_tokens(model)
    rows = [{**row, "input_ids": [*ids, 7 + i]} for row, ids in zip(ROWS, PROMPTS, strict=True) for i in range(2)]
    rows = [{**row, "num_completion_tokens": 1} for row in rows]
    found = score_candidates(model, rows, 2, pad_token_id=0, batch_size=1)
    assert read[0] == len(START) and sum(read) < sum(map(len, PROMPTS))
    alone = [score_completions(model, [row], pad_token_id=0, batch_size=1)[0] for row in rows]
    assert [nats for nats, _ in found] == pytest.approx([nats for nats, _ in alone], abs=1e-4)


@pytest.mark.parametrize("row", ["prompt_tuning", "p_tuning", "prefix_tuning", "loreft"])
def test_methods_whose_prompt_is_more_than_its_tokens_share_nothing(row, build):
    assert len(SharedStart(build(row).model, PROMPTS)) == 0


@pytest.mark.parametrize("prompts", [[], PROMPTS[:1], [ids[len(START) :] for ids in PROMPTS]])
def test_prompts_without_a_common_start_are_read_alone(prompts, build):
    assert len(SharedStart(build("full").model, prompts)) == 0


def test_equal_prompts_keep_a_token_of_their_own(build):
    assert len(SharedStart(build("full").model, [START, START])) == len(START) - 1
    assert len(SharedStart(build("full").model, [START, [*START, 7]])) == len(START) - 1


@pytest.mark.parametrize(("sliding_window", "num_shared"), [(None, len(START)), (64, 0)])
def test_a_model_with_sliding_windows_shares_nothing(sliding_window, num_shared):
    """Padding between start and row would push the start out of the window of short rows."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = MistralForCausalLM(MistralConfig(**sizes, intermediate_size=64, sliding_window=sliding_window)).eval()
    count_positions_from_mask(model)
    assert len(SharedStart(model, PROMPTS)) == num_shared


@pytest.mark.parametrize("setting", [{"num_beams": 2}, {"cache_implementation": "static"}])
def test_beams_and_static_caches_read_each_prompt_whole(setting, build, count_tokens):
    built = build("full")
    read = count_tokens(built.model)
    generation = GenerationConfig(max_new_tokens=2, **setting)
    generate_tokens(built.model, built.tokenizer, PROMPTS, generation=generation, batch_size=4, share_start=True)
    assert read[0] >= max(map(len, PROMPTS)) * len(PROMPTS)
