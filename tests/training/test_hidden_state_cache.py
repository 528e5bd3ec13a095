"""The trunk cache computes the same values and is never stale, never broken, never too large."""

import contextlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny import known

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.run_folder import TRUNK_CACHE_FOLDER
from hf_peft_compare.training import hidden_state_cache as trunk_cache
from hf_peft_compare.training.state_files import META_FILE, STATES_FILE, Meta

ROWS = ["last_layers", "last_layer_head"]
OFF = "training.trunk_cache=false"


def caches(folder):
    return sorted(path.parent for path in (folder / TRUNK_CACHE_FOLDER).glob(f"*/{META_FILE}"))


def weights(folder):
    return load_file(folder / "model" / "trainables.safetensors")


@pytest.fixture
def forward_passes(monkeypatch):
    """Count how often the trunk is computed for the cache."""
    calls = []
    compute = trunk_cache.TrunkCache._fill
    monkeypatch.setattr(
        trunk_cache.TrunkCache, "_fill", lambda self, *args: (calls.append(args[0]), compute(self, *args))
    )
    return calls


@pytest.mark.parametrize("row", ROWS)
def test_losses_and_final_weights_equal_those_of_a_run_without_it(train, tmp_path, row):
    """Dropout above the trunk is on in both, with the same masks. (Adam would blow up gradients that are zero.)"""
    sgd = ("training.optim=sgd", "training.learning_rate=0.1")
    cached, plain = train(row, *sgd, folder="a/run"), train(row, *sgd, OFF, folder="b/run")
    assert cached.trunk_cache.num_bytes > 0 and plain.trunk_cache is None
    for one, other in zip(cached.history, plain.history, strict=True):
        assert known(one) == pytest.approx(known(other), rel=1e-4)
    assert cached.results == pytest.approx(plain.results, rel=1e-4)
    for name, tensor in weights(tmp_path / "a/run").items():
        torch.testing.assert_close(tensor, weights(tmp_path / "b/run")[name], atol=1e-5, rtol=1e-4)
    assert cached.throughput.num_train_tokens == plain.throughput.num_train_tokens


def test_in_bf16_too(train):
    bf16 = "training.bf16=true"
    cached, plain = train("last_layers", bf16, folder="a/run"), train("last_layers", bf16, OFF, folder="b/run")
    for one, other in zip(cached.history, plain.history, strict=True):
        assert known(one) == pytest.approx(known(other), rel=1e-2)


def test_every_seed_and_learning_rate_reads_what_the_first_run_computed(train, forward_passes, tmp_path):
    first = train("last_layers", folder="a/one")
    assert len(forward_passes) == 2  # train, validation
    second = train("last_layers", "training.learning_rate=0.01", seed=1, folder="a/two")
    assert len(forward_passes) == 2 and second.trunk_cache == first.trunk_cache
    assert second.trunk_cache.filled_by == ["last_layers-seed0"]


CHANGES = {
    "another data set": ["num_train_samples=16", "num_validation_samples=6"],
    "another max length": ["max_length=60"],
    "another model": ["architecture={n_head: 4}"],
    "another precision": ["training.bf16=true"],
    "another separator": ["task.prompt_suffix=' =>'"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_states_never_meets_a_stale_cache(train, forward_passes, change):
    train("last_layers", folder="a/one")
    train("last_layers", *CHANGES[change], folder="a/two")
    assert len(forward_passes) == 4


def test_other_weights_under_the_same_name_never_meet_a_stale_cache(train, forward_passes, tmp_path, tiny_gpt2):
    model = shutil.copytree(tiny_gpt2, tmp_path / "model")
    train("last_layers", f"model_name_or_path={model}", folder="a/one")
    tensors = load_file(model / "model.safetensors")
    tensors["transformer.h.0.mlp.c_fc.weight"] *= 1.001
    from safetensors.torch import save_file

    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    train("last_layers", f"model_name_or_path={model}", folder="a/two")
    assert len(forward_passes) == 4


def test_another_boundary_has_its_own_cache(train, forward_passes):
    train("last_layers", folder="a/one")
    train("last_layer_head", folder="a/two")
    assert len(forward_passes) == 4


@pytest.mark.parametrize("harm", ["cut short", "meta gone", "meta cut short", "killed while it was filled"])
def test_a_broken_cache_is_recomputed(train, forward_passes, tmp_path, harm):
    whole = train("last_layers", folder="a/one")
    for cache in caches(tmp_path / "a"):
        states, meta = cache / STATES_FILE, cache / META_FILE
        if harm == "cut short":
            states.write_bytes(states.read_bytes()[:-100])
        elif harm == "meta gone":
            meta.unlink()
        elif harm == "meta cut short":
            meta.write_text(meta.read_text()[:20])
        else:
            states.write_bytes(bytes(len(states.read_bytes())))
            meta.unlink()
            cache.rename(cache.with_name(f".{cache.name}"))
    again = train("last_layers", folder="a/two")
    assert len(forward_passes) == 4 and again.history == whole.history
    assert not list((tmp_path / "a" / TRUNK_CACHE_FOLDER).glob(".[!l]*"))


def test_states_too_large_for_the_bound_are_recomputed_and_the_record_notes_it(train, tmp_path):
    record = train("last_layers", "training.trunk_cache_max_bytes=1000", folder="a/run")
    assert record.trunk_cache is None and not caches(tmp_path / "a")
    assert "exceed training.trunk_cache_max_bytes" in " ".join(record.notes)


def test_old_caches_make_room_for_new_ones(train, tmp_path):
    size = train("last_layers", folder="a/one").trunk_cache.num_bytes
    bound = f"training.trunk_cache_max_bytes={int(size * 1.2)}"
    record = train("last_layers", "max_length=64", bound, folder="a/two")
    kept = [json.loads((cache / META_FILE).read_text()) for cache in caches(tmp_path / "a")]
    total = sum(Meta(**meta).num_bytes for meta in kept)
    assert record.trunk_cache.num_bytes <= total <= size * 1.2


def test_another_run_may_remove_a_cache_as_soon_as_it_is_its_turn(train, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def then_another(root):
        yield
        for cache in caches(root.parents[1]):
            shutil.rmtree(cache)

    expected = train("last_layers", OFF, folder="a/run")
    monkeypatch.setattr(trunk_cache, "owned_in_turn", then_another)
    record = train("last_layers", folder="b/run")
    assert record.trunk_cache is not None and not caches(tmp_path / "b")
    assert record.validation.best_loss == pytest.approx(expected.validation.best_loss, rel=1e-4)


def test_the_planned_size_is_the_real_one(train, build, tmp_path):
    from hf_peft_compare.models.frozen_trunk import find_trunk

    record = train("last_layers", folder="a/run")
    real = sum(f.stat().st_size for f in (tmp_path / "a" / TRUNK_CACHE_FOLDER).glob("*/states.bin"))
    assert record.trunk_cache.num_bytes == real
    built = build("last_layers")
    assert real % (built.model.config.hidden_size * 4) == 0 and find_trunk(built.model) is not None


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(train, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trunk_cache.os, "posix_fallocate", full)
    with pytest.raises(UserError, match="No space left on device.*training.trunk_cache=false"):
        train("last_layers", folder="a/run")
    assert not list((tmp_path / "a" / TRUNK_CACHE_FOLDER).glob("*/states.bin"))


def test_a_folder_that_cannot_be_written_is_one_clear_error(train, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be cached in .*training.trunk_cache=false"):
        train("last_layers", folder="a/run")
    assert train("last_layers", OFF, folder="a/again").finished


def test_one_pass_over_the_data_needs_no_cache(train, tmp_path):
    assert train("last_layers", "training.num_train_epochs=1", folder="a/run").trunk_cache is None
    assert train("last_layers", "training.max_steps=2", folder="a/two").trunk_cache is None


def test_methods_without_a_frozen_trunk_leave_no_cache(train, tmp_path):
    assert train("lora", folder="a/run").trunk_cache is None and not caches(tmp_path / "a")
