"""Small made-up studies: records and predictions as the lab would leave them, without any model."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from record_parts import TITLES, TRAINABLE, make_card, make_config, make_memory, make_provenance

from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

LEVEL = {"lead": 0.24, "zero_shot": 0.15, "prompt_tuning": 0.2, "last_layers": 0.26, "lora": 0.29, "full": 0.3}
BASE = 124_439_808


@dataclass(frozen=True)
class References:
    """Stands in for the reference values of a study."""

    source: str
    rows: dict[str, dict[str, float]]
    differences: list[str]
    minimum: bool = False
    model: str | None = None


@dataclass(frozen=True)
class Study:
    """Stands in for a study."""

    name: str = "tiny-study"
    title: str = "GPT-2 small on news summaries"
    description: str = "Four ways to adapt one small model to one task, beside two floors."
    methods: dict[str, dict[str, Any]] = field(default_factory=lambda: {row: {} for row in TITLES})
    seeds: list[int] = field(default_factory=lambda: [0])
    smallest_difference: float | None = None
    references: References | None = None


REFERENCES = References(
    source="course report, 2024",
    rows={
        "prompt_tuning": {
            "test_loss": 7.9,
            "rouge1_fmeasure": 0.2,
            "rougeL_fmeasure": 0.186,
            "trainable_params": 4608,
            "train_seconds": 3972.0,
            "peak_allocated_bytes": 10_393_000_000,
        },
        "lora": {
            "test_loss": 7.14,
            "rouge1_fmeasure": 0.114,
            "rougeL_fmeasure": 0.112,
            "trainable_params": 4718592,
            "train_seconds": 4789.0,
        },
    },
    differences=["The reference scores teacher-forced argmax; ours generates.", "Its loss is far above zero-shot."],
)


def score_names() -> list[str]:
    """Return the score names of a summarization record, the ranking score first."""
    rouge = [
        f"{kind}_{part}"
        for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum")
        for part in ("precision", "recall", "fmeasure")
    ]
    rouge.remove("rougeL_fmeasure")
    return ["rougeL_fmeasure", *rouge, "entity_recall", "test_loss"]


def about_score(name: str) -> dict[str, Any]:
    """Return title, unit and direction of a score."""
    if name == "test_loss":
        return {"title": "Test loss", "unit": "nats per token", "greater_is_better": False}
    kind, _, part = name.partition("_")
    letter = {"precision": "P", "recall": "R", "fmeasure": "F"}[part]
    title = "Entity recall" if kind == "entity" else f"{kind.replace('rouge', 'ROUGE-')} {letter}"
    return {"title": title, "unit": "fraction", "greater_is_better": True}


def make_predictions(row: str, *, seed: int = 0, num_examples: int = 40) -> list[dict[str, Any]]:
    """Return the per-example lines of a run; a row's quality is that of `LEVEL`."""
    lines = []
    for index in range(num_examples):
        rng = random.Random(f"{row} {seed} {index}")
        hard = random.Random(index).gauss(0, 0.05)
        scores = {
            name: min(1.0, max(0.0, LEVEL.get(row, 0.2) + hard + rng.gauss(0, 0.03) - 0.01 * place))
            for place, name in enumerate(score_names()[:-1])
        }
        num_tokens = 40 + index % 7
        nll = None if row == "lead" else num_tokens * (3.6 - 3 * LEVEL.get(row, 0.2) + rng.gauss(0, 0.1))
        lines.append(
            {
                "id": f"example-{index}",
                "source": f"Article {index}. "
                + "The council met on Tuesday and agreed on a new plan for the harbour. " * 9,
                "reference": f"The council agreed on plan {index} for the harbour.",
                "prediction": f"{TITLES.get(row, row)} says: the council met and agreed on plan {index}.",
                "scores": scores,
                "nll": nll,
                "num_tokens": num_tokens,
            }
        )
    return lines


def make_history(row: str) -> list[dict[str, float]]:
    """Return a falling loss with an evaluation after every epoch."""
    rng = random.Random(row)
    history: list[dict[str, float]] = []
    for step in range(1, 41):
        loss = 2.2 + 3 * (0.3 - LEVEL.get(row, 0.2)) * 2 + 1.5 * math.exp(-step / 9)
        history.append(
            {
                "step": step,
                "epoch": step / 10,
                "loss": loss + rng.gauss(0, 0.06),
                "learning_rate": 5e-5,
                "grad_norm": 0.8,
            }
        )
        if step % 10 == 0:
            history.append({"step": step, "epoch": step / 10, "eval_loss": loss + 0.08})
    return history


def make_record(
    row: str, *, seed: int = 0, cuda: bool = True, predictions: list[dict[str, Any]] | None = None, **changes: Any
) -> RunRecord:
    """Return a finished record; `changes` replaces fields."""
    lines = make_predictions(row, seed=seed) if predictions is None else predictions
    trains = row in TRAINABLE
    results = {name: sum(line["scores"][name] for line in lines) / len(lines) for name in score_names()[:-1]}
    if row != "lead":
        results["test_loss"] = sum(line["nll"] for line in lines) / sum(line["num_tokens"] for line in lines)
    place = list(TITLES).index(row) if row in TITLES else 3
    fields: dict[str, Any] = {
        "status": "finished",
        "error": None,
        "study": "tiny-study",
        "row": row,
        "method": row,
        "seed": seed,
        "config": make_config(row, seed=seed),
        "config_origins": {
            "training.learning_rate": "method",
            "training.num_train_epochs": "study",
            "method.r": "study method",
            "max_length": "study",
            "generation.max_new_tokens": "default",
        },
        "config_hash": "0123456789abcdef",
        "card": make_card(row),
        "scores": {name: about_score(name) for name in score_names()},
        "parameters": None
        if row == "lead"
        else {
            "trainable_params": TRAINABLE.get(row, 0),
            "total_params": BASE + (TRAINABLE[row] if row in ("lora", "prompt_tuning") else 0),
        },
        "initial_trainables_sha256": "aa" * 32 if trains else None,
        "final_trainables_sha256": "bb" * 32 if trains else None,
        "results": results,
        "validation": {"best_loss": 2.4 + 0.1 * place, "best_step": 40, "best_epoch": 4.0} if trains else None,
        "seconds": {"train": 100.0 + 321.5 * place, "evaluation": 60.25, "save": 0.5, "load": 2.125}
        if trains
        else {"train": 0.0, "evaluation": 33.0, "save": 0.0, "load": 2.0},
        "memory": make_memory(row, place, cuda=cuda),
        "throughput": {
            "num_train_tokens": 400_000,
            "train_tokens_per_second": 4000.0,
            "num_generated_tokens": 2_000,
            "generated_tokens_per_second": 55.0,
        }
        if trains
        else {},
        "history": make_history(row) if trains else [],
        "notes": ["The micro-batch was halved once, to 4."] if row == "full" else [],
        "provenance": make_provenance(place, cuda=cuda),
    }
    return RunRecord(**{**fields, **changes})


def make_failed(row: str, error: str = "CUDA out of memory. Tried to allocate 20.00 GiB") -> RunRecord:
    """Return the record of a run that failed."""
    return make_record(
        row,
        status="failed",
        error=error,
        results={},
        validation=None,
        seconds={},
        memory={},
        throughput={},
        history=[],
        final_trainables_sha256=None,
    )


def make_study_runs(
    *, rows: tuple[str, ...] = tuple(TITLES), seeds: tuple[int, ...] = (0,), cuda: bool = True
) -> tuple[dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    """Return records and predictions of a study, by run name."""
    predictions = {run_name(row=row, seed=seed): make_predictions(row, seed=seed) for row in rows for seed in seeds}
    records = {
        run_name(row=row, seed=seed): make_record(
            row, seed=seed, cuda=cuda, predictions=predictions[run_name(row=row, seed=seed)]
        )
        for row in rows
        for seed in seeds
    }
    return records, predictions


def make_comparison(*rows: str) -> Comparison:
    """Return the comparison of a study with these rows; none named: two floors and four trained ones."""
    records, predictions = make_study_runs(rows=rows or tuple(TITLES))
    return compare(records, predictions, expected_runs=[(record.row, 0) for record in records.values()])


def make_big_study() -> tuple[Study, dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    """Return a study of ten rows, five seeds and 3,000 test examples; every 60th example has the same text."""
    rows, seeds = [*TITLES, "ia3", "p_tuning", "prefix_tuning", "qlora"], list(range(5))
    records, predictions = {}, {}
    for row in rows:
        for seed in seeds:
            lines = make_predictions(row, seed=seed, num_examples=60)
            run = run_name(row=row, seed=seed)
            records[run] = make_record(row, seed=seed, predictions=lines)
            predictions[run] = [{**lines[place % 60], "id": f"example-{place}"} for place in range(3000)]
    return Study(methods={row: {} for row in rows}, seeds=seeds), records, predictions
