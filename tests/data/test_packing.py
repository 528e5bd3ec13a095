"""Packing: texts in one row have the losses and gradients that they have alone, and do not see each other."""

import pytest
import torch
from tiny import METHODS, NO_DROPOUT, known, shake_trainables, tiny_model, token_rows
from transformers import AutoModelForCausalLM, BloomConfig, MistralConfig

from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.data.packing import can_pack, pack
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.models.heads import completion_nll
from hf_peft_compare.training.trainer import ComparisonTrainer

PAD = 0
ROWS = token_rows([9, 30, 17, 25])
PACKED_METHODS = ["full", "lora", "last_layers", "last_layer_head", "ia3"]


def padded(rows):
    return CompletionCollator(pad_token_id=PAD)(rows)


def test_a_packed_row_written_out():
    batch = padded(
        [
            {"input_ids": [1, 2, 3, PAD], "num_completion_tokens": 2},
            {"input_ids": [6, 7], "num_completion_tokens": 1},
        ]
    )
    packed = pack(batch)
    assert packed["input_ids"].tolist() == [[1, 2, 3, PAD, 6, 7]]
    assert packed["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    # Logits where a completion is predicted and at its end; a label is shifted to the logit before it by the model.
    assert packed["logits_to_keep"].tolist() == [1, 2, 3, 4, 5]
    assert packed["labels"].tolist() == [[-100, 3, PAD, -100, 7]]
    assert packed["use_cache"] is False  # with a cache transformers takes the row for one text
    assert "attention_mask" not in packed


@pytest.fixture(params=["tiny_gpt2", "tiny_llama"])
def adapted(request, build):
    """`adapted(row)`: a model with its trainables moved, in both architectures."""
    folder = request.getfixturevalue(request.param)
    return lambda row: shake_trainables(build(row, f"model_name_or_path={folder}").model)


@pytest.mark.parametrize("row", PACKED_METHODS)
def test_packed_losses_and_gradients_equal_padded_ones(row, adapted):
    model = adapted(row)
    batch = padded(ROWS)
    losses, gradients = [], []
    for inputs in (batch, pack(batch)):
        model.zero_grad()
        loss = model(**inputs, num_items_in_batch=torch.tensor(40)).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad]))
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("row", ["full", "lora"])
@pytest.mark.parametrize("changed", range(len(ROWS)))
def test_no_token_sees_another_text(changed, row, adapted):
    model = adapted(row)
    ends = torch.tensor([r["num_completion_tokens"] for r in ROWS]).cumsum(0)[:-1]

    def nats_of_texts(rows):
        inputs = pack(padded(rows))
        with torch.no_grad():
            logits = model(**inputs).logits
        targets = inputs["labels"][0, 1:]
        nats = -logits[0, :-1].log_softmax(dim=-1).gather(1, targets.clamp(min=0)[:, None])[:, 0][targets != -100]
        return torch.stack([part.sum() for part in nats.tensor_split(ends)])

    others = [{**r, "input_ids": [299 - i for i in r["input_ids"]]} if n == changed else r for n, r in enumerate(ROWS)]
    difference = (nats_of_texts(others) - nats_of_texts(ROWS)).abs()
    assert difference[changed] > 1e-2
    assert difference[torch.arange(len(ROWS)) != changed].max() < 1e-5


@pytest.mark.parametrize("row", PACKED_METHODS)
def test_training_packed_equals_training_padded(row, train):
    settings = (NO_DROPOUT, "training={num_train_epochs: 1, learning_rate: 0.01, trunk_cache: false}")
    runs = {
        folder: train(row, *settings, *overrides, folder=folder)
        for folder, overrides in {
            "padded": (),
            "8x1": ("training.packing=true",),
            "2x4": ("training.packing=true", "training.gradient_accumulation_steps=4"),
        }.items()
    }
    expected = runs["padded"]
    for record in runs.values():
        assert record.notes == []
        assert len(record.history) == len(expected.history) == 4
        for one, other in zip(record.history, expected.history, strict=True):
            assert known(one) == pytest.approx(known(other), abs=1e-5, rel=1e-5)
        assert record.throughput.num_train_tokens == expected.throughput.num_train_tokens > 0


@pytest.fixture
def rows_of_steps(monkeypatch):
    """How many rows the model saw in each training step."""
    seen = []
    original = ComparisonTrainer.compute_loss

    def compute_loss(self, model, inputs, *args, **kwargs):
        if model.training:
            seen.append(len(inputs["input_ids"]))
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ComparisonTrainer, "compute_loss", compute_loss)
    return seen


def test_packing_is_for_those_who_ask(train, rows_of_steps):
    train("full", "training.num_train_epochs=1", folder="padded")
    assert rows_of_steps == [8, 8, 8]
    train("full", "training={num_train_epochs: 1, packing: true}", folder="packed")
    assert rows_of_steps[3:] == [1, 1, 1]


@pytest.mark.parametrize("row", [r for r in METHODS if "num_virtual_tokens" in METHODS[r]])
def test_methods_with_virtual_tokens_train_unpacked_with_the_same_losses(row, train, rows_of_steps):
    settings = (NO_DROPOUT, "training.num_train_epochs=1")
    expected = train(row, *settings, folder="padded")
    record = train(row, *settings, "training.packing=true", folder="packed")
    assert record.history == expected.history
    assert rows_of_steps == [8] * 6
    assert record.notes == ["Texts were not packed: virtual tokens precede each of them."]


def test_runs_that_keep_the_states_of_a_trunk_are_not_packed(train, rows_of_steps):
    record = train("last_layers", "training={num_train_epochs: 2, packing: true, trunk_cache: true}")
    assert rows_of_steps == [8] * 6
    assert record.notes == ["Texts were not packed: the states of the frozen trunk are cached."]


def test_a_note_is_made_once_however_often_the_model_is_built(train, monkeypatch):
    original = ComparisonTrainer.training_step

    def step(self, model, inputs, *args, **kwargs):
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ComparisonTrainer, "training_step", step)
    notes = train("prompt_tuning", "training={num_train_epochs: 1, packing: true}").notes
    assert len(notes) == 3 and sum("not packed" in note for note in notes) == 1  # two were of halving


WIDTHS = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 64}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(MistralConfig(**WIDTHS, **HEADS, sliding_window=8), True, id="sliding window"),
        pytest.param(BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=2), False, id="no positions"),
    ],
)
def test_what_cannot_be_packed_is_found_out(config, expected):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    count_positions_from_mask(model)
    assert can_pack(model, ROWS, pad_token_id=PAD) is expected


def test_a_model_whose_texts_see_each_other_cannot_be_packed():
    model = tiny_model()
    count_positions_from_mask(model)
    assert can_pack(model, ROWS[:2], pad_token_id=PAD)
    forward = model.forward
    model.forward = lambda *args, **kwargs: forward(*args, **{**kwargs, "use_cache": True})
    assert not can_pack(model, ROWS[:2], pad_token_id=PAD)


def test_a_packed_loss_is_the_mean_over_the_labelled_tokens():
    model = tiny_model()
    count_positions_from_mask(model)
    inputs = pack(padded(ROWS))
    with torch.no_grad():
        output = model(**inputs)
    nats, num_tokens = completion_nll(output.logits, inputs["labels"])
    assert num_tokens.item() == sum(r["num_completion_tokens"] for r in ROWS)
    assert output.loss.item() == pytest.approx((nats / num_tokens).item(), abs=1e-5)
