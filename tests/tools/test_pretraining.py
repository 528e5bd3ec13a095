"""The pretraining script, a few steps long: from scratch to a base that loads, and the same after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tools.pretrain_quickstart_base import pretraining
from tools.pretrain_quickstart_base.batches import draw_batch
from tools.pretrain_quickstart_base.copying import IGNORED, draw_copying_rows
from tools.pretrain_quickstart_base.optimizers import orthogonalized
from tools.pretrain_quickstart_base.pretraining import pretrain
from tools.pretrain_quickstart_base.recipe import Recipe, active_ids, rate_share

TINY = Recipe(
    vocab_size=400,
    n_positions=256,
    n_embd=32,
    n_layer=2,
    n_head=2,
    copying_steps=3,
    previous_token_steps=2,
    growth_steps=(1, 3),
    story_steps=3,
    copying_tokens=256,
    story_tokens=256,
    num_tokenizer_documents=200,
    num_examined=10,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretraining")
    pretrain(TINY, output_dir=folder / "base", work_dir=folder / "work")
    return folder / "base"


def test_a_few_steps_leave_a_base_that_loads_and_generates(base: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    ids = model.generate(**tokenizer("On Monday", return_tensors="pt"), max_new_tokens=3, pad_token_id=0)
    assert ids.shape[1] > 2
    assert {"README.md", "recipe.json", "tokenizer.json", "model.safetensors"} <= {path.name for path in base.iterdir()}


def test_interrupted_and_resumed_has_the_same_weights(base: Path, tmp_path: Path, monkeypatch) -> None:
    whole = AutoModelForCausalLM.from_pretrained(base).state_dict()
    real_step, calls = pretraining.train_step, []

    def failing_step(*args, **kwargs):
        calls.append(kwargs["step"])
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real_step(*args, **kwargs)

    monkeypatch.setattr(pretraining, "train_step", failing_step)
    with pytest.raises(KeyboardInterrupt):
        pretrain(TINY, output_dir=tmp_path / "base", work_dir=tmp_path / "work", checkpoint_every=2)
    pretrain(TINY, output_dir=tmp_path / "base", work_dir=tmp_path / "work", checkpoint_every=2)
    assert calls == [0, 1, 2, 3, 4, 4, 5]
    resumed = AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict()
    torch.testing.assert_close(resumed, whole)


def test_every_position_is_trained() -> None:
    batches = [draw_batch(TINY, step=step, exercise="copying", tokenizer=None) for step in range(200)]
    positions = [batch.offsets + torch.arange(batch.input_ids.shape[1]) for batch in batches]
    reached = set(torch.cat([some.flatten() for some in positions]).tolist())
    assert reached == set(range(256))


def test_rate_warms_up_holds_and_falls_to_nothing() -> None:
    recipe = Recipe(warmup_steps=10, copying_steps=20, story_steps=10)
    assert rate_share(recipe, step=0) == pytest.approx(0.1)
    assert rate_share(recipe, step=20) == 1.0
    assert rate_share(recipe, step=29) == pytest.approx(0.1)


def test_random_vocabulary_grows_from_60_ids_to_all() -> None:
    recipe = Recipe(vocab_size=1_000, growth_steps=(10, 20))
    assert [active_ids(recipe, step=step) for step in (0, 10, 20, 99)] == [60, 60, 1_000, 1_000]


def test_labels_of_copying_rows_follow_from_the_row_so_far() -> None:
    """Check that each labeled token occurs earlier in its row, after the same token, to be looked up."""
    rows = draw_copying_rows(num_rows=8, length=64, vocabulary=np.arange(500), rng=np.random.default_rng(0))
    for ids, labels in zip(rows.input_ids, rows.labels, strict=True):
        for position in np.flatnonzero(labels != IGNORED):
            assert labels[position] == ids[position]
            pairs = list(zip(ids[: position - 1], ids[1:position], strict=True))
            assert (ids[position - 1], ids[position]) in pairs


def test_orthogonalized_has_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalized(torch.randn(16, 48, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.5
