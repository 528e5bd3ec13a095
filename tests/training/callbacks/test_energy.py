"""The energy of training, by codecarbon: a stand-in here, the real one where it is installed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerState

from hf_peft_compare.training import run
from hf_peft_compare.training.callbacks import Energy, energy, wall_clock
from hf_peft_compare.training.callbacks.phases import EVALUATION, LOAD, SAVE, TRAIN
from hf_peft_compare.training.callbacks.tracking import summarize
from hf_peft_compare.training.run import train_run
from hf_peft_compare.training.trainer import ComparisonTrainer

ON = "tracking.energy=true"
WATT_HOUR = 1e-3  # kilowatt-hours, in which codecarbon counts


class CPU:
    def __init__(self, mode: str) -> None:
        self._mode = mode


class GPU: ...


class RAM: ...


class AppleSiliconChip:
    def __init__(self, part: str) -> None:
        self.chip_part = part


class Tracker:
    """Stands in for codecarbon's: each finds 1 Wh of the CPU, 2 of the memory and, if there is one, 5 of the GPU."""

    devices: list[Any] = [RAM(), CPU("cpu_load")]
    made: list[Tracker] = []
    running = 0

    def __init__(self, **options: Any) -> None:
        self.options, self._hardware = options, self.devices
        self.made.append(self)

    def start(self) -> None:
        Tracker.running += 1

    def stop(self) -> None:
        Tracker.running -= 1
        gpu = 5 * WATT_HOUR * any("GPU" in (type(d).__name__, getattr(d, "chip_part", "")) for d in self._hardware)
        self.final_emissions_data = SimpleNamespace(cpu_energy=WATT_HOUR, gpu_energy=gpu, ram_energy=2 * WATT_HOUR)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Tracker]]:
    """A new class of stand-ins, which `import codecarbon` finds."""
    monkeypatch.setattr(Tracker, "made", [])
    monkeypatch.setattr(Tracker, "running", 0)
    monkeypatch.setattr(Tracker, "devices", Tracker.devices)
    module = ModuleType("codecarbon")
    module.OfflineEmissionsTracker = Tracker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    energy._make_tracker.cache_clear()
    yield Tracker
    energy._make_tracker.cache_clear()


def measured(*phases: str | None) -> Energy:
    found = Energy()
    for phase in phases:
        found.enter(phase)
    return found


def test_each_stretch_of_training_is_added_and_nothing_else(tracker: type[Tracker]) -> None:
    found = measured(LOAD, TRAIN, EVALUATION, SAVE, TRAIN, None)
    assert found.results() == pytest.approx({"train_energy_joules": 2 * 3 * 3600, "estimated_energy_joules": 21_600})
    assert len(tracker.made) == 1 + 2 and tracker.running == 0  # the first one only looks at the machine


@pytest.mark.parametrize(
    ("devices", "estimated", "note"),
    [
        ([RAM(), CPU("cpu_load")], 3, "Energy: CPU and memory estimated by codecarbon."),
        ([RAM(), CPU("constant")], 3, "Energy: CPU and memory estimated by codecarbon."),
        ([RAM(), CPU("intel_rapl")], 2, "Energy: CPU measured by meters; memory estimated by codecarbon."),
        ([RAM(), CPU("cpu_load"), GPU()], 3, "Energy: GPU measured by meters; CPU and memory estimated by codecarbon."),
        (
            [RAM(), CPU("intel_rapl"), GPU()],
            2,
            "Energy: CPU and GPU measured by meters; memory estimated by codecarbon.",
        ),
        (
            [RAM(), AppleSiliconChip("CPU"), AppleSiliconChip("GPU")],
            2,
            "Energy: CPU and GPU measured by meters; memory estimated by codecarbon.",
        ),
    ],
)
def test_what_has_no_meter_is_estimated(tracker: Any, devices: list[Any], estimated: int, note: str) -> None:
    tracker.devices = devices
    found = measured(TRAIN, None)
    assert found.results()["estimated_energy_joules"] == pytest.approx(3600 * estimated)
    assert found.note() == note


def test_a_part_that_was_estimated_once_is_not_called_measured_later(tracker: Any) -> None:
    found = measured(TRAIN, None)
    tracker.devices = [RAM(), CPU("intel_rapl")]
    found.enter(TRAIN)
    assert found.results()["estimated_energy_joules"] == pytest.approx(2 * 3 * 3600)


def test_a_checkpoint_keeps_the_energy_until_now(tracker: type[Tracker]) -> None:
    found = measured(TRAIN)
    assert found.state()["attributes"]["joules"] == pytest.approx({"cpu": 3600, "ram": 7200})
    assert tracker.running == 1  # it goes on
    assert found.results()["train_energy_joules"] == pytest.approx(2 * 3 * 3600)


def test_a_failure_leaves_the_energy_unknown_and_the_run_alone(tracker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "stop", lambda self: None)  # as codecarbon ends on an error: without a word
    found = measured(TRAIN, EVALUATION, TRAIN, None)
    assert found.results() == {}
    assert found.note().startswith("Energy is not known: codecarbon failed (AttributeError: ")
    assert len(tracker.made) == 2


@pytest.mark.parametrize(("here", "measures"), [("4", True), ("2", False)])
def test_of_several_processes_the_main_one_measures_a_single_machine(
    tracker: type[Tracker], monkeypatch: pytest.MonkeyPatch, here: str, measures: bool
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
    for main in (True, False):
        state = SimpleNamespace(num_processes=4, is_main_process=main)
        monkeypatch.setattr(energy, "process_state", lambda state=state: state)
        found = measured(TRAIN, None)
        assert bool(found.results()) is (measures and main)
    assert measures or found.note() == "Energy is not known: the run was spread over several machines."


def test_a_record_has_the_energy_and_trackers_get_it(tracker: type[Tracker], train: Any) -> None:
    record = train("lora", ON)
    assert record.throughput.train_energy_joules == record.throughput.estimated_energy_joules
    assert record.throughput.train_energy_joules == pytest.approx(3 * 3600 * (len(tracker.made) - 1))
    assert "Energy: CPU and memory estimated by codecarbon." in record.notes
    assert summarize(record)["throughput/train_energy_joules"] == record.throughput.train_energy_joules
    assert tracker.running == 0


def test_what_starting_to_measure_takes_is_no_training_time(
    tracker: type[Tracker], train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wall_clock, "perf_counter", lambda: 100.0 * len(tracker.made))  # nothing else takes time
    assert train("lora", ON).seconds.train == 0
    assert len(tracker.made) > 1


def test_without_the_setting_without_training_and_in_trials_nothing_is_measured(
    tracker: type[Tracker], train: Any, tiny_study: Any, tmp_path: Path
) -> None:
    config, origins = tiny_study(ON).resolve(row="lora", seed=0)
    trial = train_run(replace(config, trial=0), origins, folder=tmp_path / "study/tuning/trial")
    for record in (train("lora"), train("zero_shot", ON, methods={"zero_shot": {}}), trial):
        assert record.throughput.train_energy_joules is None
        assert not any("Energy" in note for note in record.notes)
    assert tracker.made == []


def test_after_cuda_is_out_of_memory_nothing_is_measured_while_the_model_is_built_again(
    tracker: type[Tracker], train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []
    build, step = run.build, ComparisonTrainer.training_step

    def built(*args: Any, **kwargs: Any) -> Any:
        attempts.append(tracker.running)
        return build(*args, **kwargs)

    def full_once(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(attempts) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return step(self, *args, **kwargs)

    monkeypatch.setattr(run, "build", built)
    monkeypatch.setattr(ComparisonTrainer, "training_step", full_once)
    record = train("lora", ON)
    assert attempts == [0, 0]
    assert record.throughput.train_energy_joules == pytest.approx(3 * 3600 * (len(tracker.made) - 1))


@pytest.mark.parametrize("before", ["true", "false"])
def test_after_an_interruption_both_halves_are_added_or_nothing_is_said(
    tracker: type[Tracker], train: Any, interrupt_at: Any, tmp_path: Path, before: str
) -> None:
    epochs = "training.num_train_epochs=3"
    interrupt_at(5)
    with pytest.raises(KeyboardInterrupt):
        train("lora", epochs, f"tracking.energy={before}", folder="run")
    saved = TrainerState.load_from_json(str(tmp_path / "run/checkpoints/checkpoint-3/trainer_state.json"))
    tracker.made.clear()
    resumed = train("lora", epochs, ON, folder="run")
    if before == "true":
        first = sum(saved.stateful_callbacks["Energy"]["attributes"]["joules"].values())
        assert first > 0
        assert resumed.throughput.train_energy_joules == pytest.approx(first + 3 * 3600 * len(tracker.made))
    else:
        assert resumed.throughput.train_energy_joules is None
        assert "Energy is not known: it was not measured before the run was interrupted." in resumed.notes


def test_the_real_one_measures_without_network_files_or_output(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon", reason="codecarbon is not installed")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: pytest.fail(f"it asks {address}"))
    record = train("lora", ON)
    throughput = record.throughput
    assert throughput.train_energy_joules > 0
    watts = throughput.train_energy_joules / record.seconds.train
    assert 1 < watts < 10_000
    (note,) = [note for note in record.notes if note.startswith("Energy")]
    assert ("measured" in note) == (throughput.estimated_energy_joules < throughput.train_energy_joules)
    assert os.listdir() == []
    out, err = capfd.readouterr()
    assert "codecarbon" not in (out + err).lower()
