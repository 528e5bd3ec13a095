"""The rules of peft types act: without them a row would train something else than its name says."""

import json

import pytest
import torch
from tiny import NO_DROPOUT, known

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.methods.peft_method import PeftSettings, peft_config
from hf_peft_compare.methods.peft_rules import UNSUPPORTED
from hf_peft_compare.training.callbacks.best_state import METRIC, BestState

LLAMA = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj", "v_proj"]}  # KaSA does not adapt GPT-2's layers
ROWS = {
    "adalora": {"peft_type": "ADALORA", "init_r": 6, "target_r": 2, "target_modules": ["c_attn", "c_proj"]},
    "kasa": {**LLAMA, "kasa_config": {"beta": 0.5, "gamma": 0.5}},
    "shadow": {"peft_type": "SHADOW", "shadow_dropout": 0.0, "auxiliary_loss_weight": 0.5},
}
CLASSES = {
    "adalora": {"peft_type": "ADALORA", "init_r": 6, "target_r": 2, "target_modules": ["query", "value"]},
    "shadow": ROWS["shadow"],
}
FOUR = "training.num_train_epochs=4"  # of three steps each
FAST = "training.learning_rate=0.01"


@pytest.fixture
def train_row(train, tiny_llama):
    """`train_row(row, "key=value", …, folder=…, given={…})`: the record of a row above, with further settings."""

    def run(row, *overrides, given=None, **keys):
        base = [f"model_name_or_path={tiny_llama}"] if row == "kasa" else [NO_DROPOUT]
        return train(row, *base, *overrides, methods={row: {**ROWS[row], **(given or {})}}, **keys)

    return run


@pytest.fixture
def train_classifier(train, classifying, tiny_llama):
    """The same with a class head: on a BERT, or for SHADOW, which adapts decoders, on a Llama."""

    def run(row, *overrides, given=None, **keys):
        study = {**classifying, "methods": {row: {**CLASSES[row], **(given or {})}}}
        if row == "shadow":
            study["model_name_or_path"] = str(tiny_llama)
        return train(row, *overrides, **study, **keys)

    return run


def test_adalora_takes_ranks_away_until_the_target_is_left(train_row, tmp_path):
    record = train_row("adalora", FOUR, FAST, folder="run")
    assert "AdaLoRA kept 12 of 36 ranks, in 6 matrices; 2 each were aimed at." in record.notes
    saved = json.loads((tmp_path / "run/model/adapter_config.json").read_text())
    assert sum(map(sum, saved["rank_pattern"].values())) == 12
    assert (saved["total_step"], saved["tinit"], saved["tfinal"]) == (12, 1, 6)
    assert saved["orth_reg_weight"] == 0.5


@pytest.mark.parametrize("best_epoch", [4, 1])  # the second is before the last allocation
def test_what_adalora_saves_scores_as_its_run(best_epoch, train_row, tmp_path, monkeypatch):
    from hf_peft_compare.models import trainable_parameters
    from hf_peft_compare.training import run

    def look(callback, args, state, control, metrics=None, **others):
        real_look(callback, args, state, control, metrics={METRIC: abs(state.epoch - best_epoch)}, **others)

    real_look = BestState.on_evaluate
    monkeypatch.setattr(BestState, "on_evaluate", look)
    monkeypatch.setattr(run, "load_trainables", lambda model, path: _load(model, path, models))
    models, _load = (
        [],
        lambda model, path, kept: (trainable_parameters.load_trainables(model, path), kept.append(model)),
    )
    assert train_row("adalora", FOUR, FAST, folder="run").validation.best_epoch == best_epoch
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.no_grad():
        expected = models[0].eval()(input_ids=ids).logits
        torch.testing.assert_close(load_run(tmp_path / "run").model(input_ids=ids).logits, expected)


@pytest.mark.parametrize("row", ["adalora", "shadow"])
def test_an_interrupted_run_ends_like_an_undisturbed_one(row, train_row, interrupt_at):
    whole = train_row(row, FOUR, folder="whole")
    interrupt_at(8)
    with pytest.raises(KeyboardInterrupt):
        train_row(row, FOUR, folder="interrupted")
    resumed = train_row(row, FOUR, folder="interrupted")
    assert resumed.final_trainables_sha256 == whole.final_trainables_sha256
    assert (resumed.history, resumed.results, resumed.notes) == (whole.history, whole.results, whole.notes)


@pytest.mark.parametrize("row", ["adalora", "kasa", "shadow"])
def test_how_a_batch_is_split_changes_no_loss(row, train_row):
    settings = ("training.num_train_epochs=2", FAST)
    whole = train_row(row, *settings, folder="8x1")
    split = train_row(row, *settings, "training.gradient_accumulation_steps=4", folder="2x4")
    for one, other in zip(whole.history, split.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-5, rel=1e-5)


@pytest.mark.parametrize(
    ("row", "without"),
    [
        ("adalora", {"orth_reg_weight": 0.0}),
        ("kasa", {"kasa_config": {"beta": 0.0, "gamma": 0.0}}),
        ("shadow", {"auxiliary_loss_weight": 0.0}),
    ],
)
def test_the_term_is_trained_and_is_no_part_of_the_validation_loss(row, without, train_row):
    settings = ("training.num_train_epochs=1", "training.learning_rate=1e-30")  # where nothing moves, losses compare
    term, none = train_row(row, *settings, folder="with"), train_row(row, *settings, given=without, folder="without")
    assert term.history[0].loss > none.history[0].loss + 0.1
    assert term.history[0].grad_norm != pytest.approx(none.history[0].grad_norm, rel=1e-3)
    assert term.validation.best_loss == pytest.approx(none.validation.best_loss)


@pytest.mark.parametrize(
    ("row", "without"), [("adalora", {"orth_reg_weight": 0.0}), ("shadow", {"auxiliary_loss_weight": 0.0})]
)
def test_the_term_is_trained_with_a_class_head_too(row, without, train_classifier):
    settings = ("training.num_train_epochs=1", "training.learning_rate=1e-30")
    term = train_classifier(row, *settings, folder="with")
    none = train_classifier(row, *settings, given=without, folder="without")
    assert term.history[0].loss > none.history[0].loss + 0.1
    assert term.validation.best_loss == pytest.approx(none.validation.best_loss)


def test_adalora_allocates_ranks_with_a_class_head(train_classifier):
    (note,) = (note for note in train_classifier("adalora", FOUR, FAST).notes if note.startswith("AdaLoRA"))
    assert int(note.split()[2]) < 24


def test_a_schedule_without_room_to_allocate_ranks_is_refused(train_row):
    with pytest.raises(UserError, match="tinit is 3 and tfinal is 5 of 6 training steps"):
        train_row("adalora", given={"tinit": 3, "tfinal": 5})


def test_a_target_that_takes_no_rank_away_is_refused(train_row):
    with pytest.raises(UserError, match="target_r is 6; expected less than init_r, 6"):
        train_row("adalora", given={"target_r": 6})


@pytest.mark.parametrize("peft_type", UNSUPPORTED)
def test_a_type_that_needs_more_than_a_run_has_is_refused_by_name(peft_type):
    with pytest.raises(UserError, match=f"peft_type {peft_type} is not supported: it "):
        peft_config(PeftSettings(peft_type=peft_type.lower(), num_virtual_tokens=4))


@pytest.mark.parametrize(
    "settings",
    [
        {"peft_type": "LORA", "monteclora_config": {"num_samples": 2}},
        {"peft_type": "ADAMSS", "use_asa": True},
    ],
)
def test_what_no_interrupted_run_could_go_on_with_is_refused_by_name(settings):
    *_, key = settings
    with pytest.raises(UserError, match=f"{key} is not supported: "):
        peft_config(PeftSettings(**settings))
