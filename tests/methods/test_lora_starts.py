"""Where LoRA's first weights come from: the model starts as the base, and what is saved needs no other base."""

import copy
import json

import peft
import pytest
import torch
from peft.tuners.lora import preprocess_loraga
from peft.tuners.lora.corda import preprocess_corda
from tiny import NO_DROPOUT, tiny_model

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.collators import CompletionCollator, EncoderDecoderCollator
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.methods import lora_starts
from hf_peft_compare.methods.peft_method import PeftSettings, adapter_config, build_peft, peft_config
from hf_peft_compare.methods.peft_rules import rule_of
from hf_peft_compare.models import trainable_parameters
from hf_peft_compare.training import run
from hf_peft_compare.training.callbacks import WallClock

STARTS = {
    "pissa": {"init_lora_weights": "pissa"},
    "pissa_niter_1": {"init_lora_weights": "pissa_niter_1"},
    "corda": {"init_lora_weights": "corda"},
    "corda_kpm": {"init_lora_weights": "corda", "corda_config": {"corda_method": "kpm"}},
    "lora_ga": {"init_lora_weights": "lora_ga"},
    "dora": {"init_lora_weights": "lora_ga", "use_dora": True},
    "rslora": {"init_lora_weights": "pissa", "use_rslora": True, "rank_pattern": {"c_proj": 2}},
}
OLORA = {"init_lora_weights": "olora"}
TARGETS = {"gpt2": ["c_attn", "c_proj"], "llama": ["q_proj", "down_proj"], "t5": ["q", "wo"]}
ROWS = [
    {"input_ids": [5, 6, 7, 8, 9, 10, 11], "num_completion_tokens": 2},
    {"input_ids": [12, 13, 14, 15, 16], "num_completion_tokens": 3},
]
TRAINED = ("training.num_train_epochs=2", "training.learning_rate=0.01")


def settings(start, architecture="gpt2"):
    return {"peft_type": "LORA", "r": 4, "target_modules": TARGETS[architecture], **start}


def batches(architecture):
    collator = EncoderDecoderCollator if architecture == "t5" else CompletionCollator
    return [collator(pad_token_id=0)(ROWS)]


def prepared(start, architecture):
    """A tiny base, a copy of it as a peft model with this start, and its rule."""
    base = tiny_model(architecture).eval()
    if architecture == "t5":
        base.config.decoder_start_token_id = 0
    given = settings(start, architecture)
    model = build_peft(copy.deepcopy(base), PeftSettings(**given)).eval()
    rule = rule_of("LORA", {key: value for key, value in given.items() if key != "peft_type"})
    rule.prepare(model, batches(architecture))
    return base, model, rule


@pytest.fixture
def train_start(train):
    """`train_start(start, "key=value", …, folder=…)`: the record of a run of LoRA that starts so."""

    def train_row(start, *overrides, **keys):
        return train("row", NO_DROPOUT, *overrides, methods={"row": settings(start)}, **keys)

    return train_row


@torch.no_grad()
def read(model, architecture):
    return model(**batches(architecture)[0]).logits


@pytest.mark.parametrize(
    ("start", "architecture"),
    [
        *((start, "gpt2") for start in STARTS.values()),
        (OLORA, "llama"),
        *((STARTS[name], "t5") for name in ("corda", "lora_ga")),
    ],
)
def test_the_model_starts_as_the_base_and_ends_as_it_was_trained_for_the_untouched_base(start, architecture):
    base, model, rule = prepared(start, architecture)
    torch.testing.assert_close(read(model, architecture), read(base, architecture), atol=1e-4, rtol=1e-4)
    with model.disable_adapter():
        assert not torch.allclose(read(model, architecture), read(base, architecture), atol=1e-3)  # taken out of it
    for parameter in trainable_parameters.named_trainables(model).values():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    trained = read(model, architecture)
    rule.finish(model)
    torch.testing.assert_close(read(model, architecture), trained, atol=1e-4, rtol=1e-4)
    with model.disable_adapter():
        torch.testing.assert_close(read(model, architecture), read(base, architecture), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_what_is_saved_is_a_plain_lora_that_scores_as_its_run(start, train_start, tmp_path, monkeypatch):
    models, load = [], trainable_parameters.load_trainables
    monkeypatch.setattr(run, "load_trainables", lambda model, path: (load(model, path), models.append(model)))
    record = train_start(start, *TRAINED, folder="run")
    assert "The adapter of rank 4 is saved without its start, as a plain LoRA of rank 8." in record.notes
    saved = json.loads((tmp_path / "run/model/adapter_config.json").read_text())
    assert (saved["init_lora_weights"], saved["r"], saved["lora_alpha"]) == (True, 8, 8)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.no_grad():
        expected = models[0].eval()(input_ids=ids).logits
        torch.testing.assert_close(
            load_run(tmp_path / "run").model(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-5
        )


def test_what_a_start_computes_is_measured_as_training(train_start, monkeypatch):
    events = []

    def entering(clock, phase, enter=WallClock.enter):
        events.append(phase)
        enter(clock, phase)

    def preparing(rule, model, given, prepare=lora_starts.Covariance.prepare):
        events.append("start")
        prepare(rule, model, given)

    monkeypatch.setattr(WallClock, "enter", entering)
    monkeypatch.setattr(lora_starts.Covariance, "prepare", preparing)
    train_start(STARTS["corda"])
    place = events.index("start")
    assert events[place - 1 : place + 2] == ["train", "start", None]


def test_as_many_parameters_are_trained_as_by_plain_lora(train_start):
    started, plain = train_start(STARTS["corda"], folder="started"), train_start({}, folder="plain")
    assert started.parameters.trainable_params == plain.parameters.trainable_params > 0


@pytest.mark.parametrize("start", ["pissa_niter_1", "corda", "lora_ga"])
def test_an_interrupted_run_ends_like_an_undisturbed_one(start, train_start, interrupt_at):
    whole = train_start(STARTS[start], *TRAINED, folder="whole")
    interrupt_at(5)
    with pytest.raises(KeyboardInterrupt):
        train_start(STARTS[start], *TRAINED, folder="interrupted")
    resumed = train_start(STARTS[start], *TRAINED, folder="interrupted")
    assert resumed.final_trainables_sha256 == whole.final_trainables_sha256
    assert (resumed.history, resumed.results, resumed.notes) == (whole.history, whole.results, whole.notes)


@pytest.mark.parametrize("start", ["eva", "corda", "lora_ga"])
def test_the_first_values_depend_on_the_train_texts_alone(start, train_start):
    given = {"init_lora_weights": start}
    one, again, plain = (train_start(s, folder=folder) for s, folder in [(given, "a"), (given, "b"), ({}, "c")])
    other = train_start(given, "num_train_samples=16", folder="d")
    assert one.initial_trainables_sha256 == again.initial_trainables_sha256
    assert len({record.initial_trainables_sha256 for record in (one, plain, other)}) == 3


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("start", ["corda", "corda_kpm", "lora_ga"])
def test_the_start_is_the_one_that_peft_computes_from_the_same_texts(start, architecture):
    _, ours, _ = prepared(STARTS[start], architecture)
    base = tiny_model(architecture)
    for module in base.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # peft reads with dropout
    given = {key: value for key, value in settings(STARTS[start], architecture).items() if key != "peft_type"}
    if start == "lora_ga":
        given["lora_ga_config"] = peft.LoraGAConfig()
    elif "corda_config" in given:
        given["corda_config"] = peft.tuners.lora.config.CordaConfig(**given["corda_config"])
    config = peft.LoraConfig(task_type="CAUSAL_LM", **given)
    texts = [{"input_ids": torch.tensor([row["input_ids"]])} for row in ROWS]
    for text, row in zip(texts, ROWS, strict=True):
        text["labels"] = text["input_ids"].clone()
        text["labels"][:, : -row["num_completion_tokens"]] = -100

    def read_all():
        for text in texts:
            loss = base(**text).loss
            if start == "lora_ga":
                loss.backward()

    (preprocess_loraga if start == "lora_ga" else preprocess_corda)(base, config, read_all)
    theirs = peft.get_peft_model(base, config)
    layers = [{name: m for name, m in model.named_modules() if hasattr(m, "lora_A")} for model in (ours, theirs)]
    assert layers[0].keys() == layers[1].keys()
    for name, layer in layers[0].items():
        for one, other in zip(lora_starts._factors(layer), lora_starts._factors(layers[1][name]), strict=True):
            # A direction may point either way.
            torch.testing.assert_close(one.weight.abs(), other.weight.abs(), atol=2e-4, rtol=1e-2)


def test_no_more_texts_are_read_than_peft_reads_in_its_examples(monkeypatch):
    model = build_peft(tiny_model("gpt2"), PeftSettings(**settings(STARTS["corda"])))
    (batch,) = batches("gpt2")
    assert len(lora_starts._texts(model, [batch] * 3, 5)) == 5
    first, second, *_ = lora_starts._texts(model, [batch], 5)
    assert first["input_ids"].tolist() == [ROWS[0]["input_ids"]]
    assert second["labels"].tolist() == [[-100, -100, *ROWS[1]["input_ids"][2:]]]


@pytest.mark.parametrize("start", ["corda", "lora_ga"])
def test_a_class_head_can_have_such_a_start_too(start, train, classifying):
    given = {**STARTS[start], "peft_type": "LORA", "r": 2, "target_modules": ["query", "value"]}
    record = train("row", **{**classifying, "methods": {"row": given}})
    assert any("without its start" in note for note in record.notes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"init_lora_weights": "loftq"}, "needs the base's plain weights beside the quantized ones"),
        ({**STARTS["corda"], "kasa_config": {"beta": 0.1, "gamma": 0.1}}, "kasa_config and init_lora_weights 'corda'"),
        ({**STARTS["corda"], "corda_config": {"cache_file": "a.pt"}}, "corda_config has cache_file"),
    ],
)
def test_a_start_that_no_run_can_have_is_refused_by_name(given, message):
    with pytest.raises(UserError, match=message):
        peft_config(PeftSettings(peft_type="LORA", **given))


def test_olora_is_refused_where_weights_are_transposed():
    with pytest.raises(UserError, match=r"'olora', which peft cannot compute for .* \(Conv1D\)"):
        build_peft(tiny_model("gpt2"), PeftSettings(**settings(OLORA)))


def test_a_rank_beyond_the_directions_of_a_matrix_is_refused():
    with pytest.raises(UserError, match=r"r is 20 for .*c_attn, whose smaller side is 32, and this start takes 40"):
        prepared({**STARTS["lora_ga"], "r": 20}, "gpt2")


@pytest.mark.parametrize("init", ["corda", "lora_ga", "pissa_niter_4"])
def test_an_adapter_that_was_saved_without_its_changed_base_is_refused(init, tmp_path):
    peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=init).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=f"started with init_lora_weights '{init}', and was saved without the changed base"
    ):
        adapter_config(str(tmp_path))
