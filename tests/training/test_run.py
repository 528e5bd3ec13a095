"""One run, from its config to its record."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tiny import METHODS

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation.scoring import score_completions
from hf_peft_compare.models.loading import load_base, load_tokenizer
from hf_peft_compare.models.trainable_parameters import hash_tensors, load_trainables
from hf_peft_compare.records.parts import ScoreDescription, Validation
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.training import run as training
from hf_peft_compare.training import testing, trainer
from hf_peft_compare.training.trainer import ComparisonTrainer, _nats_per_label, make_trainer


@pytest.mark.parametrize("row", ["lead", "zero_shot", *METHODS])
def test_every_method_leaves_a_finished_record(row, train, tmp_path):
    record = train(row, "training.num_train_epochs=1", methods={row: METHODS.get(row, {})})
    folder = tmp_path / f"{row}-seed0"
    assert read_record(folder) == record
    assert record.status == "finished" and record.error is None
    assert min(vars(record.seconds).values()) >= 0
    assert list(record.scores)[0] == "rougeL_fmeasure" and list(record.scores)[-1] == "test_loss"
    method = get_method(record.method)
    assert (row == "lead") == ("test_loss" not in record.results)
    assert set(record.scores) - {"test_loss"} <= set(record.results)
    assert method.trains == (folder / "model").is_dir() == (record.validation is not None)
    assert not (folder / "checkpoints").exists()
    predictions = list(read_predictions(folder))
    assert len(predictions) == 6
    for name in record.scores:
        values = [p["scores"][name] for p in predictions if name in p["scores"]]
        if values:
            assert record.results[name] == pytest.approx(sum(values) / 6)
    if row != "lead":
        total = sum(p["nll"] for p in predictions) / sum(p["num_tokens"] for p in predictions)
        assert record.results["test_loss"] == pytest.approx(total)


def test_the_test_loss_is_that_of_a_plain_loop(train, tiny_study):
    """The untouched model, one article at a time, without padding, labels or any of our batching."""
    record = train("zero_shot", methods={"zero_shot": {}})
    config = tiny_study().config
    model, tokenizer = load_base(config).eval(), load_tokenizer(config)
    nats = tokens = 0
    for example in load_examples(config)["test"]:
        separator = tokenizer("\n\nTL;DR:")["input_ids"]
        summary = [*tokenizer(" " + example.reference)["input_ids"], tokenizer.eos_token_id]
        prompt = tokenizer(example.source)["input_ids"][: config.max_length - len(separator + summary)] + separator
        with torch.no_grad():
            log_p = model(torch.tensor([prompt + summary])).logits[0].log_softmax(dim=-1)
        nats -= sum(log_p[len(prompt) + i - 1, token].item() for i, token in enumerate(summary))
        tokens += len(summary)
    assert record.results["test_loss"] == pytest.approx(nats / tokens, abs=1e-4)


def eval_losses(record):
    return [entry.eval_loss for entry in record.history if entry.eval_loss is not None]


def validation_loss(config, model, tokenizer):
    rows = tokenize_splits(config, load_examples(config), tokenizer).splits["validation"]
    nats, tokens = zip(*score_completions(model, rows, pad_token_id=0, batch_size=4), strict=True)
    return sum(nats) / sum(tokens)


@pytest.fixture
def validation_losses(monkeypatch):
    """`validation_losses(1.0, 2.0, …)`: the losses that a run shall see; returns the list of the real ones."""

    def install(*losses):
        given, found = iter(losses), []
        original = _nats_per_label

        def nats_per_label(prediction):
            found.append(original(prediction)["nats_per_label"])
            return {"nats_per_label": next(given)}

        monkeypatch.setattr(trainer, "_nats_per_label", nats_per_label)
        return found

    return install


def test_the_best_state_is_restored_and_saved(train, tiny_study, tmp_path, validation_losses):
    found = validation_losses(3.0, 1.0, 2.0)
    train("lora", "training.num_train_epochs=3", "training.learning_rate=0.01")
    config, _ = tiny_study().resolve(row="lora", seed=0)
    base = load_base(config)
    count_positions_from_mask(base)
    saved = get_method("lora").load(base, tmp_path / config.run / "model", config.method_settings)
    assert validation_loss(config, saved.eval(), load_tokenizer(config)) == pytest.approx(found[1], abs=1e-4)
    assert abs(found[1] - found[2]) > 1e-3 and abs(found[1] - found[0]) > 1e-3  # the states differ


def test_the_final_hash_is_that_of_the_best_file(train, monkeypatch, validation_losses):
    files = []

    def load(model, path):
        files.append(hash_tensors(load_file(path)))
        load_trainables(model, path)

    monkeypatch.setattr(training, "load_trainables", load)
    validation_losses(3.0, 1.0, 2.0)
    record = train("full", "training.num_train_epochs=3")
    assert [record.final_trainables_sha256] == files
    assert record.final_trainables_sha256 != record.initial_trainables_sha256


CONSTANT = "training.lr_scheduler_type=constant"  # so that the first steps of a long run are those of a short one
UNCACHED = "training.trunk_cache=false"  # cached states match computed ones up to float rounding, not bit for bit


@pytest.mark.parametrize("row", METHODS)
def test_a_run_whose_best_is_its_first_epoch_ends_like_a_run_of_one_epoch(row, train, validation_losses):
    short = train(row, CONSTANT, UNCACHED, "training.num_train_epochs=1", folder="short")
    validation_losses(1.0, 3.0, 2.0)
    long = train(row, CONSTANT, UNCACHED, "training.num_train_epochs=3", folder="long")
    assert long.final_trainables_sha256 == short.final_trainables_sha256 != long.initial_trainables_sha256
    assert long.validation == Validation(best_loss=1.0, best_step=3, best_epoch=1.0)
    assert long.results == short.results


@pytest.mark.parametrize(
    ("patience", "losses", "evaluations"),
    [
        (1, [3.0, 4.0, 1.0, 1.0], 2),
        (2, [3.0, 4.0, 1.0, 2.0, 2.0], 5),  # an improvement in between resets the count
        (1, [3.0, 3.0, 1.0], 2),  # equal is not better
        ("null", [1.0, 2.0, 3.0, 4.0, 5.0], 5),
    ],
)
def test_training_stops_when_patience_is_at_its_end(patience, losses, evaluations, train, validation_losses):
    validation_losses(*losses)
    record = train("ia3", "training.num_train_epochs=5", f"training.early_stopping_patience={patience}")
    assert eval_losses(record) == losses[:evaluations]
    assert record.validation.best_loss == min(losses[:evaluations])


def test_the_validation_loss_does_not_depend_on_the_evaluation_batch(train):
    # Reached by the same training; batches of 1, 3 and 8 rows of unequal lengths weigh the same.
    losses = [
        train("lora", f"training.eval_batch_size={size}", folder=f"size{size}").validation.best_loss
        for size in (1, 3, 8)
    ]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_evaluation_every_few_steps_keeps_the_best_of_all(train):
    record = train("lora", "training.eval_strategy=steps", "training.eval_steps=2", "training.learning_rate=0.01")
    evaluated = [entry.step for entry in record.history if entry.eval_loss is not None]
    assert evaluated == [2, 4, 6]
    assert record.validation.best_step in evaluated


def test_each_epoch_visits_the_same_examples_in_another_order(train, monkeypatch):
    seen = []
    original = ComparisonTrainer.training_step

    def step(self, model, inputs, *args, **kwargs):
        rows = zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True)
        seen.append(sorted(str([i for i, m in zip(ids, mask, strict=True) if m]) for ids, mask in rows))
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ComparisonTrainer, "training_step", step)
    train("ia3", "training.num_train_epochs=2")
    first, second = seen[:3], seen[3:]
    assert sorted(sum(first, [])) == sorted(sum(second, []))
    assert first != second


def test_training_learns(train):
    for row, rate in {"full": 0.01, "lora": 0.01, "prompt_tuning": 1.0, "last_layers": 0.01}.items():
        record = train(row, f"training.learning_rate={rate}", "training.num_train_epochs=5")
        losses = [entry.loss for entry in record.history if entry.loss is not None]
        assert losses[-1] < losses[0] - 0.1, row


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_a_number_fails_the_run_and_its_record_has_the_error(train, tmp_path):
    with pytest.raises(RunFailed, match="training diverged. Lower training.learning_rate"):
        train("full", "training.learning_rate=1e18")
    record = read_record(tmp_path / "full-seed0")
    assert record.status == "failed" and not record.finished
    assert "training diverged" in record.error
    assert record.results == {}
    assert record.config["training"]["learning_rate"] == 1e18


def test_any_error_leaves_a_failed_record(train, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("in the metric")

    monkeypatch.setattr(testing, "score_texts", fail)
    with pytest.raises(RunFailed, match="run tiny/lora-seed0 failed: ZeroDivisionError: in the metric"):
        train("lora")
    assert read_record(tmp_path / "lora-seed0").error == "ZeroDivisionError: in the metric"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("num_train_samples=100",), "set at most"),
        (("methods.lora.target_modules=[nothing]",), "target_modules 'nothing' not found"),
        (("max_length=20",), "max_length"),
        (("training.gradient_accumulation_steps=3",), "must be divisible"),
    ],
)
def test_bad_input_is_a_user_error_without_a_record(overrides, message, train, tmp_path):
    with pytest.raises(UserError, match=message):
        train("lora", *overrides)
    assert not (tmp_path / "lora-seed0" / "record.json").exists()


def test_a_finished_run_takes_the_place_of_a_failed_one(train, monkeypatch, tmp_path):
    with monkeypatch.context() as patch, pytest.raises(RunFailed):
        patch.setattr(testing, "score_texts", lambda *args: 1 / 0)
        train("lora")
    train("lora")
    assert read_record(tmp_path / "lora-seed0").finished


def test_num_train_tokens_counts_real_tokens_of_all_steps(train, tiny_study):
    record = train("lora", "training.num_train_epochs=2")
    config, _ = tiny_study().resolve(row="lora", seed=0)
    rows = tokenize_splits(config, load_examples(config), load_tokenizer(config)).splits["train"]
    assert len(rows) % 8 == 0  # every row is visited in every epoch
    assert record.throughput.num_train_tokens == 2 * sum(len(row["input_ids"]) for row in rows)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(["num_train_samples=22", "training.gradient_accumulation_steps=4"], id="6 of 22 left out"),
        pytest.param(["num_train_samples=5"], id="fewer than a batch"),
        pytest.param(["training.max_steps=4"], id="within an epoch"),
        pytest.param(["training.num_train_epochs=1.5"], id="one epoch and a half"),
        pytest.param(["training.num_train_epochs=5", "training.early_stopping_patience=1"], id="stopped early"),
    ],
)
def test_num_train_tokens_is_what_the_trainer_would_count_on_the_device(
    settings, train, monkeypatch, validation_losses
):
    validation_losses(3.0, 4.0, 5.0, 6.0, 7.0)
    trainers = []
    original = make_trainer

    def counting(*args, **kwargs):
        trainers.append(original(*args, **kwargs))
        trainers[0].args.include_num_input_tokens_seen = "non_padding"
        return trainers[0]

    monkeypatch.setattr(training, "make_trainer", counting)
    record = train("lora", *settings)
    assert record.throughput.num_train_tokens == trainers[0].state.num_input_tokens_seen > 0


def test_the_record_has_its_provenance(train):
    record = train("lora", "training.learning_rate=0.125")
    assert record.config["training"]["learning_rate"] == 0.125
    assert record.config_origins["training.learning_rate"] == "command line"
    assert record.card.title == "LoRA"
    assert record.scores["rougeL_fmeasure"] == ScoreDescription(title="ROUGE-L F", unit="ratio")
    assert record.provenance.versions["torch"] == torch.__version__.split("+")[0] or torch.__version__
    assert record.provenance.precision == "fp32"
    assert set(record.provenance.data_fingerprint) == {"train", "validation", "test"}
    assert all(math.isfinite(value) for entry in record.history for value in vars(entry).values() if value is not None)
    json.dumps(record.config)  # only JSON types


def test_every_virtual_token_leaves_one_token_less_for_text(tiny_study):
    lengths = {}
    for row in ("full", "prompt_tuning", "p_tuning"):
        config, _ = tiny_study("max_length=64").resolve(row=row, seed=0)
        encoded = tokenize_splits(config, load_examples(config), load_tokenizer(config))
        lengths[row] = max(len(r["input_ids"]) for r in encoded.splits["train"]), max(map(len, encoded.prompts))
    assert lengths["full"] == (64, 64 - 8)  # 8 new tokens are generated after a prompt
    assert lengths["prompt_tuning"] == lengths["p_tuning"] == (64 - 4, 64 - 8 - 4)
