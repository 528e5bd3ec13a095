"""Parts of made-up records: config, card, memory and provenance of a row."""

from __future__ import annotations

from typing import Any

TITLES = {
    "lead": "Lead-3",
    "zero_shot": "Zero-shot",
    "prompt_tuning": "Prompt tuning",
    "last_layers": "Last layers",
    "lora": "LoRA",
    "full": "Full fine-tuning",
}
TRAINABLE = {"prompt_tuning": 4_608, "last_layers": 45_685_248, "lora": 4_718_592, "full": 124_439_808}
FORMULA = r"W = W_0 + \frac{\alpha}{r} B A,\quad B \in \mathbb{R}^{d \times r},\ A \in \mathbb{R}^{r \times k}"


def make_config(row: str, *, seed: int) -> dict[str, Any]:
    """Return the resolved config of a run."""
    return {
        "study": "tiny-study",
        "row": row,
        "seed": seed,
        "task": {"name": "summarization", "prompt_template": "{source}\n\nTL;DR:"},
        "dataset": "abisee/cnn_dailymail",
        "num_train_samples": 21_000,
        "num_validation_samples": 6_000,
        "num_test_samples": 3_000,
        "model_name_or_path": "gpt2",
        "max_length": 512,
        "method": {
            "name": row,
            **(
                {"r": 128, "lora_alpha": 32, "lora_dropout": 0.1}
                if row == "lora"
                else {"num_virtual_tokens": 6}
                if row == "prompt_tuning"
                else {}
            ),
        },
        "training": {
            "learning_rate": {"prompt_tuning": 0.3, "lora": 2e-4}.get(row, 5e-5),
            "num_train_epochs": 4,
            "train_batch_size": 8,
            "max_grad_norm": 1.0,
        },
        "generation": {"max_new_tokens": 64},
    }


def make_card(row: str) -> dict[str, str]:
    """Return the card of a row's method, the same for all but the title."""
    return {
        "title": TITLES.get(row, row),
        "idea": "A low-rank update is learned beside the frozen weights.",
        "formula": FORMULA,
        "parameter_count": "r (d + k) per matrix",
        "when_to_use": "When memory is scarce; the rank trades size for reach.",
        "paper": "Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models",
        "url": "https://arxiv.org/abs/2106.09685",
    }


def make_memory(row: str, place: int, *, cuda: bool) -> dict[str, int | None]:
    """Return the peaks of a run, larger from row to row."""
    peaks = {
        f"{phase}_peak_{kind}_bytes": int((1.5 + 0.4 * place) * 1e9) if cuda and row != "lead" else None
        for phase in ("train", "evaluation")
        for kind in ("allocated", "reserved")
    }
    if row not in TRAINABLE:
        peaks["train_peak_allocated_bytes"] = peaks["train_peak_reserved_bytes"] = None
    return {
        "baseline_bytes": 510_000_000 if cuda else None,
        **peaks,
        "resident_peak_bytes": 1_600_000_000 + 10_000_000 * place,
    }


def make_provenance(place: int, *, cuda: bool) -> dict[str, Any]:
    """Return what a run was made with."""
    return {
        "python": "3.11.7",
        "versions": {"torch": "2.9.0", "transformers": "5.23.0", "peft": "0.21.2"},
        "device": "NVIDIA H200" if cuda else "cpu",
        "precision": "bf16",
        "num_processes": 1,
        "commit": "4f1c2d3e",
        "dirty": False,
        "data_fingerprint": {"test": "9f8e7d6c"},
        "started_at": f"2026-11-21T01:0{place}:00+00:00",
    }
