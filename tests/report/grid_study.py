"""A large made-up study: the grids of llama2-imdb with three seeds, and reviews of about 1,300 characters."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, replace
from itertools import accumulate
from typing import Any

from synthetic import make_record

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.schema import RunConfig, StudyConfig
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.records.parts import HistoryEntry, MethodCard, Parameters
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

WORDS_OF_A_REVIEW = 200
LABELS = ("negative", "positive")
SCORES = {
    "accuracy": {"title": "Accuracy", "unit": "ratio", "greater_is_better": True},
    "test_loss": {"title": "Test loss", "unit": "nats per token", "greater_is_better": False},
}


def make_grid_study(
    num_examples: int = 2_000,
) -> tuple[StudyConfig, dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    """Return the study with records and predictions of all of its 27 rows."""
    study = load_study("llama2-imdb", ["seeds=[0, 1, 2]"])
    reviews = make_reviews(num_examples)
    records, predictions = {}, {}
    for place, row in enumerate(study.config.methods):
        for seed in study.config.seeds:
            config, origins = study.resolve(row=row, seed=seed)
            run = run_name(row=row, seed=seed)
            predictions[run] = _predictions(config, reviews)
            records[run] = _record(config, origins, predictions[run], place)
    return study.config, records, predictions


def make_reviews(number: int) -> list[str]:
    """Return the texts, of words that repeat about as often as those of English do."""
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwygpbvk"
    words = ["".join(rng.choices(letters, range(22, 0, -1), k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = list(accumulate(1 / (place + 3) for place in range(len(words))))
    return [" ".join(rng.choices(words, cum_weights=weights, k=WORDS_OF_A_REVIEW)) for _ in range(number)]


def _quality(config: RunConfig) -> float:
    """Return a row's accuracy: more examples and more tokens help, as in the reference."""
    if config.row in ("majority", "zero_shot"):
        return 0.5
    samples = min(config.num_train_samples or 0, 2_500)
    tokens = config.method.get("num_virtual_tokens", 80)
    return 0.96 - 0.25 * (50 / samples) ** 0.7 - 0.03 * (8 / tokens) ** 0.5 if samples else 0.96


def _predictions(config: RunConfig, reviews: list[str]) -> list[dict[str, Any]]:
    rng, quality = random.Random(f"{config.row} {config.seed}"), _quality(config)
    lines = []
    for place, review in enumerate(reviews):
        reference = LABELS[place % 2]
        right = rng.random() < quality
        answer = reference if right else LABELS[1 - place % 2]
        texts = (answer, answer.capitalize(), f"The review is {answer}.", f"{answer} ({rng.random():.2f})")
        lines.append(
            {
                "id": f"test-{place}",
                "source": review,
                "reference": reference,
                "prediction": rng.choice(texts),
                "answer": answer,
                "scores": {"accuracy": float(right)},
                "nll": None if config.row == "majority" else rng.uniform(0.0, 0.5) + (0.0 if right else 1.0),
                "num_tokens": 2,
            }
        )
    return lines


def _record(config: RunConfig, origins: dict[str, str], lines: list[dict[str, Any]], place: int) -> RunRecord:
    method = get_method(config.method["name"])
    made = make_record("lora" if method.trains else "zero_shot" if method.uses_model else "lead", seed=config.seed)
    loss = sum(line["nll"] or 0.0 for line in lines) / (2 * len(lines))
    made = replace(
        made,
        row=config.row,
        method=method.name,
        config=asdict(config),
        config_origins=origins,
        card=MethodCard(title=method.title, **asdict(method.card)),
        scores=SCORES,
        results={"accuracy": sum(line["scores"]["accuracy"] for line in lines) / len(lines)}
        | ({"test_loss": loss} if method.uses_model else {}),
        provenance=replace(made.provenance, started_at=f"2026-11-21T{place % 24:02d}:00:00+00:00"),
    )
    if not method.trains:
        return made
    trained = 4_194_304 if method.name == "lora" else 4096 * config.method["num_virtual_tokens"]
    seconds = (config.num_train_samples or 25_000) * random.Random(f"{config.row} {config.seed}").uniform(0.11, 0.13)
    return replace(
        made,
        parameters=Parameters(trainable_params=trained, total_params=6_738_415_616 + trained),
        seconds=replace(made.seconds, train=seconds),
        history=_history(config),
    )


def _history(config: RunConfig) -> list[HistoryEntry]:
    """Return the losses of two epochs, as often as the study logs them."""
    rng = random.Random(f"{config.row} {config.seed}")
    steps_per_epoch = math.ceil((config.num_train_samples or 24_500) / config.training.train_batch_size)
    last = 2 * steps_per_epoch
    entries = []
    for step in range(1, last + 1):
        place = {"step": step, "epoch": step / steps_per_epoch}
        loss = 1.5 - _quality(config) + math.exp(-step / 300)
        if step % config.training.logging_steps == 0:
            entries.append(HistoryEntry(**place, loss=loss + rng.gauss(0, 0.05), learning_rate=5e-4, grad_norm=0.8))
        if step % steps_per_epoch == 0:
            entries.append(HistoryEntry(**place, eval_loss=loss + 0.05))
    return entries
