"""Inference costs and forgetting: every number matches its definition."""

from itertools import islice

import pytest
import torch
from tiny import CLASSIFIERS, METHODS, shake_trainables

from hf_peft_compare.comparison.rows import figures_of
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation import inference_costs as costs
from hf_peft_compare.evaluation.inference_costs import Measuring, measure_costs
from hf_peft_compare.evaluation.scoring import score_completions
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.models.loading import load_base, prepare_base
from hf_peft_compare.quickstart import OUTSIDE_TEXT
from hf_peft_compare.records.record import RunRecord, read_record

PLAIN = ("last_layer_head", "last_layers", "full")
MERGED = ("lora", "dora", "ia3", "qlora")


@pytest.fixture
def measuring(build, tiny_study, tmp_path):
    """`measuring(row)`: an untrained run of the tiny study, in the state in which its costs are measured."""

    def make(row, *overrides, **keys):
        built = build(row, *overrides, **keys)
        config, _ = tiny_study(*overrides, **keys).resolve(row=row, seed=0)
        encoded = tokenize_splits(config, load_examples(config), built.tokenizer)
        return Measuring(
            config, built.model, built.tokenizer, encoded, [], model_folder=tmp_path / "model", cache=tmp_path
        )

    return make


@pytest.mark.parametrize("row", METHODS)
def test_a_run_measures_what_its_method_has(row, train, tmp_path):
    record = train(row, "costs=true", "training.num_train_epochs=1", folder="run")
    measured = record.costs
    assert measured.notes == []
    files = [path for path in (tmp_path / "run" / "model").rglob("*") if path.is_file()]
    assert measured.checkpoint_bytes == sum(len(path.read_bytes()) for path in files) > 0
    assert measured.latency_1_seconds > 0 and measured.latency_32_seconds > 0
    assert (measured.merged_loss is not None) == (row in MERGED)
    assert (measured.merged_latency_32_seconds is not None) == (row in MERGED)
    assert measured.outside_loss != measured.untouched_outside_loss
    assert measured.costs_seconds > measured.latency_32_seconds
    assert read_record(tmp_path / "run").costs == measured


@pytest.mark.parametrize("row", [row for row in CLASSIFIERS if row in ("lora", "full", "frozen_features")])
def test_classifiers_write_nothing_that_could_be_forgotten(row, train, classifying):
    measured = train(row, "costs=true", "training.num_train_epochs=1", **classifying).costs
    assert measured.notes == []
    assert measured.latency_1_seconds > 0
    assert measured.outside_loss is None
    assert (measured.merged_loss is not None) == (row == "lora")


def test_costs_can_be_switched_off(train):
    assert train("lora", "costs=false", "training.num_train_epochs=1").costs is None


def test_floors_have_no_checkpoint_and_nothing_to_merge(train):
    measured = train("zero_shot", "costs=true", methods={"zero_shot": {}}).costs
    assert measured.checkpoint_bytes is measured.merged_loss is None
    assert measured.outside_loss == measured.untouched_outside_loss
    assert train("lead", "costs=true", methods={"lead": {}}).costs is None


def test_an_untrained_lora_has_forgotten_exactly_nothing(measuring):
    found = costs.forgetting(measuring("lora"))
    assert found["outside_loss"] - found["untouched_outside_loss"] == 0.0


def test_what_changed_the_model_is_forgetting(measuring):
    mine = measuring("lora")
    shake_trainables(mine.model)
    found = costs.forgetting(mine)
    assert abs(found["outside_loss"] - found["untouched_outside_loss"]) > 0.01


def test_the_untouched_loss_is_that_of_the_base_over_all_tokens_but_the_first(measuring):
    mine = measuring("prompt_tuning")
    base = load_base(mine.config)
    prepare_base(base, mine.tokenizer)
    nats = num_tokens = 0.0
    for text in OUTSIDE_TEXT.read_text().split("\n\n"):
        limit = min(costs.MAX_OUTSIDE_TOKENS, mine.config.max_text_length)
        ids = torch.tensor([mine.tokenizer(text.strip())["input_ids"][:limit]])
        with torch.no_grad():
            nats += base.eval()(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        num_tokens += ids.shape[1] - 1
    assert costs.forgetting(mine)["untouched_outside_loss"] == pytest.approx(nats / num_tokens, rel=1e-4)


def test_an_untouched_base_is_loaded_once_for_all_runs_of_a_study(measuring, monkeypatch):
    first = costs.forgetting(measuring("lora"))
    monkeypatch.setattr(costs, "seeded_base", lambda *given: pytest.fail("loaded again"))
    again = costs.forgetting(measuring("full"))
    assert again["untouched_outside_loss"] == first["untouched_outside_loss"]


def test_what_was_trained_elsewhere_is_not_taken_for_the_untouched_base(measuring, train, tmp_path):
    train("lora", "training.learning_rate=0.05", folder="other", methods={"lora": {"r": 4}})
    given = {"given": {"checkpoint": str(tmp_path / "other" / "model")}, "lora": {"r": 4}}
    found = costs.forgetting(measuring("given", methods=given))
    assert abs(found["outside_loss"] - found["untouched_outside_loss"]) > 1e-3
    assert costs.forgetting(measuring("lora", methods=given))["outside_loss"] == found["untouched_outside_loss"]


@pytest.mark.parametrize("row", ["lora", "dora"])
def test_exact_merging_costs_no_quality(row, measuring):
    mine = measuring(row)
    shake_trainables(mine.model)
    rows = list(islice(mine.encoded.splits["test"], 32))
    mine.test_losses = scored = score_completions(mine.model, rows, pad_token_id=0, batch_size=1)
    found = costs.merging(mine)
    assert found["unmerged_loss"] == sum(n for n, _ in scored) / sum(k for _, k in scored)
    assert found["merged_loss"] == pytest.approx(found["unmerged_loss"], abs=1e-4)
    assert found["num_merge_examples"] == len(rows) == 6


def test_a_merge_that_loses_something_is_seen(measuring):
    mine = measuring("lora")
    shake_trainables(mine.model)
    mine.test_losses = score_completions(mine.model, mine.encoded.splits["test"], pad_token_id=0, batch_size=8)
    mine.model.merge_and_unload = mine.model.unload
    found = costs.merging(mine)
    assert abs(found["merged_loss"] - found["unmerged_loss"]) > 0.01


def test_a_call_has_as_many_examples_as_its_name(measuring, monkeypatch):
    mine, sizes = measuring("full"), []
    generate = mine.model.generate
    monkeypatch.setattr(
        mine.model, "generate", lambda **k: (sizes.append(tuple(k["input_ids"].shape)), generate(**k))[1]
    )
    costs.latency(mine)
    assert [rows for rows, _ in sizes] == [1] * 5 + [32] * 3
    lengths = sorted(len(prompt) for prompt in islice((p for _ in range(32) for p in mine.encoded.prompts), 32))
    assert sizes[0][1] == lengths[16]  # the one of median length


def test_what_cannot_be_measured_is_a_note_and_no_failure(measuring, monkeypatch):
    mine = measuring("lora")
    mine.test_losses = score_completions(mine.model, mine.encoded.splits["test"], pad_token_id=0, batch_size=8)
    mine.model_folder.mkdir()

    def no_room(*given):
        raise torch.OutOfMemoryError("no room for a second base")

    monkeypatch.setattr(costs, "seeded_base", no_room)
    found = measure_costs(mine)
    assert found.notes == ["forgetting: OutOfMemoryError: no room for a second base"]
    assert found.latency_1_seconds > 0 and found.merged_loss is not None and found.outside_loss is None


def test_a_model_that_answers_no_document_is_a_note_and_no_failure(measuring, monkeypatch):
    monkeypatch.setattr(costs, "answer_choices", lambda *given, **settings: {"animals": ""})
    monkeypatch.setattr(costs, "version", lambda package: "0")
    found = costs.measure_answers(measuring("lora", "lm_eval=[animals]"))
    assert found.answers == {} and found.lm_eval_seconds is None
    (note,) = found.notes
    assert note.startswith("lm_eval: ValidationError:")


def test_nothing_is_begun_after_the_time_that_costs_may_take(measuring, monkeypatch):
    mine = measuring("full")
    mine.model_folder.mkdir()
    mine.max_seconds = 0.0
    found = measure_costs(mine)
    assert found.latency_1_seconds is found.outside_loss is None
    assert found.checkpoint_bytes == 0  # takes no time
    parts = ("latency", "forgetting", "merging")
    assert found.notes == [f"{part}: left out, since costs may take 0 s" for part in parts]


def test_a_call_that_would_take_too_long_is_not_begun(measuring, monkeypatch):
    mine, now = measuring("full"), [0.0]
    mine.started, mine.max_seconds = 0.0, 60.0
    monkeypatch.setattr(costs, "perf_counter", lambda: now[0])
    monkeypatch.setattr(costs, "_call", lambda *given: lambda: now.__setitem__(0, now[0] + 8.0))
    assert costs.latency(mine) == {"latency_1_seconds": 8.0}
    assert now == [40.0]
    assert mine.notes == ["latency with 32 texts: left out, since a call may take 256 s"]


def test_merging_for_its_costs_leaves_the_saved_adapter_as_it_was(train, tmp_path):
    train("lora", "costs=true", "training.num_train_epochs=1", folder="run")
    names = [name for name, _ in load_run(tmp_path / "run").model.named_parameters()]
    assert any("lora_A" in name for name in names)


def test_figures_are_differences_and_rates_of_what_was_measured():
    measured = {"latency_32_seconds": 0.5, "merged_loss": 2.5, "unmerged_loss": 2.0, "outside_loss": 4.0}
    record = RunRecord(
        **dict.fromkeys(("study", "row", "method", "config_hash"), "x"),
        **dict.fromkeys(("config", "config_origins"), {}),
        status="finished",
        card={"title": "x"},
        error=None,
        seed=0,
        costs={**measured, "untouched_outside_loss": 3.75, "notes": []},
    )
    figures = figures_of(record)
    assert (figures["examples_per_second_32"], figures["merged_loss_change"], figures["forgetting"]) == (64, 0.5, 0.25)
    assert "notes" not in figures
