"""The real code path on real text and a real pretrained model, small enough for a CPU."""

import pytest


@pytest.mark.parametrize("row", ["lora", "prompt_tuning"])
def test_a_pretrained_model_learns_from_news(row, train, test_data):
    record = train(
        row,
        f"dataset={test_data / 'data/cnn_dailymail'}",
        f"model_name_or_path={test_data / 'checkpoints/tinystories-656k'}",
        "num_train_samples=32",
        "num_validation_samples=8",
        "num_test_samples=4",
        "max_length=256",
        "training.num_train_epochs=4",
        "training.learning_rate=0.01" if row == "lora" else "training.learning_rate=0.3",
        "generation.max_new_tokens=16",
    )
    losses = [entry.eval_loss for entry in record.history if entry.eval_loss is not None]
    assert min(losses) < losses[0]
    assert record.validation.best_loss == min(losses)
    assert 0 <= record.results["rougeL_fmeasure"] < 1
    assert record.results["test_loss"] > 0
