"""Callbacks of transformers: they get the Trainer's events and the final figures, and cannot end the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import integration_utils

from hf_peft_compare.training.callbacks.best_state import METRIC
from hf_peft_compare.training.callbacks.reporting import Reporting


class Listening(TrainerCallback):
    """An integration that lists what it hears, as Comet's or ClearML's would send it."""

    heard: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        self.heard.append("begin")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **about: Any) -> None:
        self.heard.append(logs)

    def on_train_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        self.heard.append("end")


class Failing(Listening):
    """An integration whose server is gone."""

    def on_log(self, *_: Any, **about: Any) -> None:
        raise ConnectionError("no server")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a listening integration hears; one fails beside it."""
    monkeypatch.setattr(Listening, "heard", [])
    known = {"listening": Listening, "failing": Failing}
    monkeypatch.setattr(integration_utils, "INTEGRATION_TO_CALLBACK", known)
    return Listening.heard


def train(reporting: Reporting, folder: Path) -> None:
    Trainer(
        model=GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=64, n_positions=8)),
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=[{"input_ids": [1, 2, 3, 4], "labels": [1, 2, 3, 4]}] * 16,
        callbacks=[reporting],
    ).train()


def test_the_final_figures_come_before_the_end(tmp_path: Path, heard: list[Any]) -> None:
    reporting = Reporting(["listening"], pytest.fail)
    train(reporting, tmp_path)
    assert heard[0] == "begin" and [entry["loss"] > 0 for entry in heard[1:3]] == [True, True]
    assert "end" not in heard
    reporting.finish({"status": "finished", "test/accuracy": 0.5})
    reporting.close()
    assert heard[-2:] == [{"test_accuracy": 0.5}, "end"] and heard.count("end") == 1


def test_one_that_fails_is_noted_once_and_the_other_goes_on(tmp_path: Path, heard: list[Any]) -> None:
    notes: list[str] = []
    reporting = Reporting(["failing", "listening"], notes.append)
    train(reporting, tmp_path)
    reporting.finish({})
    assert notes == ["failing failed while logging, so its log is incomplete (ConnectionError: no server)."]
    assert sum("loss" in entry for entry in heard if isinstance(entry, dict)) == 2 and heard[-1] == "end"


def test_the_validation_loss_is_the_one_of_the_record(heard: list[Any]) -> None:
    about: Any = SimpleNamespace()
    Reporting(["listening"], pytest.fail).on_log(about, about, about, logs={"eval_loss": 9.0, METRIC: 3.0})
    assert heard == [{"eval_loss": 3.0, METRIC: 3.0}]


def test_one_that_cannot_be_made_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> TrainerCallback:
        raise RuntimeError("it is not installed")

    monkeypatch.setattr(integration_utils, "INTEGRATION_TO_CALLBACK", {"absent": refuse})
    notes: list[str] = []
    Reporting(["absent"], notes.append)
    assert notes == ["absent failed while starting, so its log is incomplete (RuntimeError: it is not installed)."]
