"""Studies of the package on real texts with real tokenizers, as small as a CPU trains in seconds."""

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.report.sections.grids import render_grids
from hf_peft_compare.report.writing import gather
from hf_peft_compare.training.run import train_run
from hf_peft_compare.utils.formatting import format_score

SMALL = ["training.logging_steps=1", "training.num_train_epochs=1", "training.train_batch_size=8"]
TINY_BERT = (
    "architecture={model_type: bert, vocab_size: 30522, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, "
    "intermediate_size: 64, max_position_embeddings: 512, type_vocab_size: 2}"
)


@pytest.fixture
def run(tmp_path, test_data):
    """`run(study, rows, data, "key=value", …)`: records by row of a study on real data; predictions in tmp_path/row."""

    def do(name, rows, data, *overrides):
        study = load_study(name, [f"dataset={test_data / 'data' / data}", *SMALL, *overrides])
        resolved = {row: study.resolve(row=row, seed=0) for row in rows}
        records = {row: train_run(*run, folder=tmp_path / row) for row, run in resolved.items()}
        assert all(record.finished for record in records.values())
        return study, records

    return do


@pytest.fixture
def bert(test_data):
    """What makes a study's base a BERT of two blocks with random weights and the real tokenizer."""
    return "init=config", TINY_BERT, f"tokenizer_name_or_path={test_data / 'checkpoints/bert-uncased-tokenizer'}"


def sizes(train, validation, test):
    return [f"num_{name}_samples={n}" for name, n in (("train", train), ("validation", validation), ("test", test))]


def test_tweets(run, bert, tmp_path):
    rows = ["majority", "full", "lora"]
    faster = ["training.learning_rate=1e-3", "methods.full.training.learning_rate=1e-3"]
    _, records = run("tinybert-tweeteval", rows, "tweeteval_sentiment", *bert, *sizes(512, 32, 64), *faster)
    told = {row: list(read_predictions(tmp_path / row)) for row in rows}
    assert len({p["prediction"] for p in told["majority"]}) == 1
    assert {p["prediction"] for row in told for p in told[row]} <= {"negative", "neutral", "positive"}
    losses = [entry.loss for entry in records["full"].history if entry.loss is not None]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert records["lora"].results["test_loss"] > 0 and "f1_weighted" in records["lora"].results


def test_pairs_of_mnli(run, bert):
    splits = ["test_split=validation", *sizes(48, 12, 12)]  # of local files `datasets` names the split so
    _, records = run("roberta-large-mnli", ["full", "lora", "p_tuning"], "mnli", *bert, *splits)
    for record in records.values():
        assert record.provenance.data_fingerprint == records["full"].provenance.data_fingerprint
        assert 0 <= record.results["accuracy"] <= 1
        assert record.initial_trainables_sha256 != record.final_trainables_sha256
    head = (32 + 1) * 3
    assert records["p_tuning"].parameters.trainable_params == 20 * 32 + 33 * 128 + 129 * 128 + 129 * 32 + head


def test_a_grid_on_film_reviews(run, test_data, tmp_path):
    rows = ["lora-8-0.0", "lora-8-0.1", "lora-16-0.0", "lora-16-0.1"]
    study, records = run(
        "llama2-imdb",
        rows,
        "imdb",
        f"model_name_or_path={test_data / 'checkpoints/tinystories-656k'}",
        "methods.lora.grid.num_train_samples=[8, 16]",
        "methods.lora.grid.lora_dropout=[0.0, 0.1]",
        *sizes(64, 8, 4),
        "max_length=160",
        "generation.max_new_tokens=8",
    )
    prints = {row: record.provenance.data_fingerprint for row, record in records.items()}
    assert len({prints[row]["test"] for row in rows}) == 1
    assert prints["lora-8-0.0"] == prints["lora-8-0.1"] != prints["lora-16-0.0"]
    assert [records[row].config["method"]["lora_dropout"] for row in rows] == [0.0, 0.1, 0.0, 0.1]
    by_run = {record.run: record for record in records.values()}
    predictions = {record.run: list(read_predictions(tmp_path / row)) for row, record in records.items()}
    material = gather(study.config, by_run, predictions)
    assert material.comparison.disagreements == ()
    table, charts, _ = render_grids(material)
    shown = [cell.text for line in table.rows for cell in line[1:]]
    epochs = [records[row].validation.best_epoch for row in rows]
    scores = [format_score(records[row].results["accuracy"]) for row in rows]
    assert shown == [f"{score} ({epoch:.3g})" for score, epoch in zip(scores, epochs, strict=True)]
    assert charts.charts[0].alt.endswith("; ours")  # the reference has other numbers of examples
