"""Frozen features: one embedding of each text, whatever its padding; the head alone is trained, on what is kept."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny import known, shake_trainables

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.features.pooling import pool
from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.training.hidden_state_cache import TrunkCache

STATES = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, 6.0]], [[5.0, 5.0], [7.0, 1.0], [9.0, 9.0]]])
MASK = torch.tensor([[0, 1, 1], [1, 1, 0]])  # padding on the left, and on the right
BASES = {"tiny_gpt2": "last", "tiny_llama": "last", "tiny_bert": "mean"}


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("last", [[3, 6], [7, 1]]), ("cls", [[1, 2], [5, 5]]), ("mean", [[2, 4], [6, 3]])],
)
def test_padding_is_never_pooled(pooling, expected):
    assert pool(STATES, MASK, pooling).tolist() == expected


@pytest.mark.parametrize("base", BASES)
def test_the_head_alone_is_trained_and_saved(base, request, build, classifying, tmp_path):
    folder = request.getfixturevalue(base)
    for row, shapes in (
        ("frozen_features", [(3, 32), (3,)]),
        ("frozen_features_hidden", [(16, 32), (16,), (3, 16), (3,)]),
    ):
        model = shake_trainables(build(row, f"model_name_or_path={folder}", **classifying).model)
        assert [tuple(p.shape) for p in named_trainables(model).values()] == shapes
        model.save_head(tmp_path / row)
        saved = load_file(tmp_path / row / "head.safetensors")
        assert sorted(tuple(tensor.shape) for tensor in saved.values()) == sorted(shapes)
        noted = json.loads((tmp_path / row / "features.json").read_text())
        assert noted == {
            "pooling": BASES[base] if row == "frozen_features" else "mean",
            "embedding_widths": {"text": 32},
        }


@pytest.mark.parametrize("base", BASES)
def test_kept_embeddings_change_no_loss_and_are_one_per_text(base, request, train, classifying):
    override = f"model_name_or_path={request.getfixturevalue(base)}"
    kept = train("frozen_features", override, folder="a/run", **classifying)
    anew = train("frozen_features", override, "training.trunk_cache=false", folder="b/run", **classifying)
    assert kept.trunk_cache.num_bytes == 4 * 32 * (24 + 8 + 6) and anew.trunk_cache is None
    assert kept.initial_trainables_sha256 == anew.initial_trainables_sha256
    for one, other in zip(kept.history, anew.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-4, rel=1e-4)
    assert kept.results == pytest.approx(anew.results, abs=1e-4)


def test_all_seeds_rates_and_heads_read_what_the_first_run_computed(train, classifying, monkeypatch):
    filled, fill = [], TrunkCache._fill
    monkeypatch.setattr(TrunkCache, "_fill", lambda self, *args: (filled.append(args[0]), fill(self, *args)))
    train("frozen_features", folder="a/one", **classifying)
    assert len(filled) == 3  # train, validation, test
    train("frozen_features", "training.learning_rate=0.1", seed=1, folder="a/two", **classifying)
    train("frozen_features_hidden", "training.num_train_epochs=1", folder="a/three", **classifying)
    assert len(filled) == 3
    cls = classifying | {"methods": {"frozen_features": {"pooling": "cls"}}}
    train("frozen_features", folder="a/four", **cls)
    assert len(filled) == 6


def test_classes_are_learned_from_embeddings_of_a_random_model(train, classifying):
    settings = ("training.num_train_epochs=60", "training.learning_rate=0.03", "training.early_stopping_patience=null")
    record = train("frozen_features", "num_train_samples=48", *settings, folder="run", **classifying)
    losses = [entry.loss for entry in record.history if entry.loss is not None]
    assert losses[-1] < losses[0] / 2


def test_in_bf16_embeddings_are_those_of_float32(train, classifying):
    half = train("frozen_features", "training.bf16=true", folder="a/one", **classifying)
    full = train("frozen_features", folder="a/two", **classifying)
    assert half.trunk_cache == replace(full.trunk_cache, filled_by=half.trunk_cache.filled_by)


def test_an_instructed_task_is_read_without_its_prompt(train, classifying, tiny_gpt2):
    keys = classifying | {"task": classifying["task"] | {"name": "instructed_classification"}}
    record = train("frozen_features", f"model_name_or_path={tiny_gpt2}", folder="run", **keys)
    assert record.finished and record.scores["test_loss"].unit == "nats per example"


def test_a_plan_knows_the_size_of_the_embeddings(tiny_study, classifying):
    (plan,) = plan_study(configs_of(tiny_study(**classifying), ["frozen_features"])).runs
    assert "Widths of the frozen embeddings: text 32." in plan.notes
    assert plan.trunk_cache_bytes == 4 * 32 * (24 + 8 + 6)


def test_what_cannot_be_is_refused(build, classifying, tiny_gpt2):
    cls = {"methods": {"frozen_features": {"pooling": "cls"}}, "model_name_or_path": str(tiny_gpt2)}
    with pytest.raises(UserError, match="the first token of a decoder attends to no other"):
        build("frozen_features", **classifying | cls)
    with pytest.raises(UserError, match="task summarization has no classes"):
        build("frozen_features", methods={"frozen_features": {}})
