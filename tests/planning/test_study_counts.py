"""`plan` prints the exact counts of every study's reference, from the architecture in its file alone."""

import socket

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.planning import planner

# Course and project reports, 2024; (trainable, total) where the reference prints both, or transformers' own count.
# For 13B and 70B the counts of LoRA follow from r (d + k) per adapted matrix.
COUNTS = {
    "roberta-large-mnli": {
        "full": (355_362_819, 355_362_819),
        "lora": (4_591_619, None),
        "p_tuning": (1_352_963, None),
    },
    # Lester et al. (2021), table 4, and the model that it was measured on.
    "t5-base-prompt-tuning": {
        "prompt_tuning": (76_800, 247_654_656),
        "full": (247_577_856, 247_577_856),
    },
    "roberta-base-loreft-mrpc": {"loreft": (610_574, None), "direft": (610_574, None)},
    "llama3-mnli": {"zero_shot": (0, 8_030_261_248), "one_shot": (0, 8_030_261_248), "qlora": (54_538_240, None)},
    "llama2-imdb": {
        "zero_shot": (0, 6_738_415_616),
        "prompt_tuning-50-8": (32_768, None),
        "prompt_tuning-50-25": (102_400, None),
        "prompt_tuning-2500-80": (327_680, None),
        "lora-500-0.2": (4_194_304, None),
        "best_lora": (4_194_304, None),
    },
    "llama2-13b-imdb": {
        "zero_shot": (0, 13_015_864_320),
        "best_lora": (40 * 2 * 8 * (5120 + 5120), None),
    },
    "llama2-70b-imdb": {
        "zero_shot": (0, 68_976_648_192),
        "best_lora": (80 * 8 * (8192 + 8192 + 8192 + 1024), None),  # 8 of 64 heads have keys and values of their own
    },
    "llama3-imdb": {
        "zero_shot": (0, 8_030_261_248),
        "prompt_tuning-50-8": (8 * 4096, None),
        "prompt_tuning-50-25": (25 * 4096, None),
        "prompt_tuning-2500-80": (80 * 4096, None),
        "lora-500-0.2": (32 * 8 * (4096 + 4096 + 4096 + 1024), None),  # 8 of 32 heads have keys and values of their own
        "best_lora": (3_407_872, None),
    },
    "llambert-imdb": {
        "bert_teacher": (109_483_778, 109_483_778),
        "bert_combined": (109_483_778, 109_483_778),
        "roberta_gold": (355_361_794, 355_361_794),  # of roberta-large-mnli, with two classes in place of three
    },
    "llambert-imdb-minilm": {"taught": (22_713_986, 22_713_986)},
    "roberta-base-tweeteval": {
        "full": (124_647_939, 124_647_939),
        "lora": (887_811, 125_535_750),
        "lora_defaults": (887_811, 125_535_750),
        "frozen_features": ((768 + 1) * 3, None),
    },
    "tinybert-tweeteval": {
        "full": (14_351_187, 14_351_187),
        "lora": (40_875, 14_392_062),
        "lora_defaults": (40_875, 14_392_062),
        "frozen_features": ((312 + 1) * 3, None),
    },
}


@pytest.fixture
def counts(monkeypatch):
    """`counts(study, rows)`: {row: (trainable, total)} of a study's plan, without network, and without the costs."""

    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(planner, "_with_costs", lambda plan, *args: plan)

    def plan(name, rows):
        runs = planner.plan_study(planner.configs_of(load_study(name), rows), device="h200").runs
        return {run.row: (run.trainable_params, run.total_params) for run in runs}

    return plan


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_of_the_reference(name, counts):
    expected = COUNTS[name]
    found = counts(name, list(expected))
    assert {row: trainable for row, (trainable, _) in found.items()} == {row: t for row, (t, _) in expected.items()}
    totals = {row: total for row, (_, total) in expected.items() if total is not None}
    assert {row: found[row][1] for row in totals} == totals


def test_references_state_the_same_counts():
    for name, expected in COUNTS.items():
        for row, figures in load_study(name).config.references.rows.items():
            if "trainable_params" in figures:
                assert figures["trainable_params"] == expected[row][0]


@pytest.mark.parametrize("name", ["smollm2-gsm8k", "smollm2-squad"])
def test_studies_of_texts_are_planned_without_network(name, counts):
    found = counts(name, ["zero_shot", "prompt_tuning", "lora"])
    smollm2 = 134_515_008
    lora = 30 * 8 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))  # r (in + out) of every linear layer
    assert found == {
        "zero_shot": (0, smollm2),
        "prompt_tuning": (16 * 576, smollm2 + 16 * 576),
        "lora": (lora, smollm2 + lora),
    }
