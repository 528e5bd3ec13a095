"""Generation: texts from prompts only, with the study's settings, without special tokens."""

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer, token_rows

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.evaluation.generation import decode, generate_tokens
from hf_peft_compare.evaluation.scoring import score_completions

ROWS = token_rows([9, 30, 17, 25])


def test_generation_reads_the_prompt_alone_and_stops_at_the_end_of_text():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    head = model.lm_head.weight
    model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(head))  # every logit is 0 except for the hook below
    plan = iter([7, 8, tokenizer.eos_token_id, 9, 9, 9])

    def predict_next(module, args, output):
        output[:, -1, next(plan)] = 1.0

    model.lm_head.register_forward_hook(predict_next)
    generation = GenerationConfig(max_new_tokens=6)
    assert generate_tokens(model, tokenizer, [[5, 6]], generation=generation, batch_size=1) == [[7, 8]]


def test_texts_have_no_special_tokens(build):
    built = build("lora")
    prompts, generation = [row["input_ids"] for row in ROWS], GenerationConfig(max_new_tokens=5)
    tokens = generate_tokens(built.model, built.tokenizer, prompts, generation=generation, batch_size=2)
    texts = decode(built.tokenizer, tokens)
    assert len(texts) == len(ROWS)
    assert not any("<|endoftext|>" in text for text in texts)


@pytest.mark.parametrize(
    ("setting", "check"),
    [
        ({"max_new_tokens": 3}, lambda tokens: len(tokens) <= 3),
        ({"max_new_tokens": 8, "min_new_tokens": 8}, lambda tokens: len(tokens) == 8),
        ({"max_new_tokens": 12, "no_repeat_ngram_size": 1}, lambda tokens: len(set(tokens)) == len(tokens)),
    ],
)
def test_generation_settings_reach_the_model(setting, check, build):
    built = build("full")
    prompts = [row["input_ids"] for row in ROWS]
    for tokens in generate_tokens(
        built.model, built.tokenizer, prompts, generation=GenerationConfig(**setting), batch_size=2
    ):
        assert check(tokens)


def test_beam_search_finds_a_likelier_text(build):
    built = build("full")
    prompts = [row["input_ids"] for row in ROWS]
    nats = {}
    for num_beams in (1, 4):
        generation = GenerationConfig(max_new_tokens=6, min_new_tokens=6, num_beams=num_beams)
        tokens = generate_tokens(built.model, built.tokenizer, prompts, generation=generation, batch_size=2)
        rows = [{"input_ids": p + t, "num_completion_tokens": 6} for p, t in zip(prompts, tokens, strict=True)]
        nats[num_beams] = sum(n for n, _ in score_completions(built.model, rows, pad_token_id=0, batch_size=2))
    assert nats[4] < nats[1]


def test_the_generation_config_of_the_base_takes_part_only_if_the_study_says_so():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    prompts = [row["input_ids"] for row in ROWS]

    def generate(**settings):
        generation = GenerationConfig(max_new_tokens=5, **settings)
        return generate_tokens(model, tokenizer, prompts, generation=generation, batch_size=4)

    plain = generate()
    model.generation_config.suppress_tokens = sorted({token for row in plain for token in row})
    assert generate() == plain
    assert generate(use_base_config=True) != plain
