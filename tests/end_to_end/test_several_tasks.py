"""Several tasks on one base: runs of different studies predict with one loaded model, each as if it were alone."""

import json

import pytest
import yaml
from tiny import reviews, splits_of, write_rows, write_splits

from hf_peft_compare.inference import loading
from hf_peft_compare.inference.prediction import predict_each, predict_texts
from hf_peft_compare.models.loading import load_base

METHODS = {
    "lora": {
        "r": 4,
        "lora_alpha": 16,
        "target_modules": "auto",
    },  # at this rate, all linear layers learn one class only
    "prompt_tuning": {"num_virtual_tokens": 4, "prompt_tuning_init_text": "the fox found"},
    "p_tuning": {"peft_type": "P_TUNING", "num_virtual_tokens": 4, "encoder_hidden_size": 16},
}
# The column of each text, and the names of the three classes.
TASKS = {
    "tweets": ({"text": "text"}, ["negative", "neutral", "positive"]),
    "pairs": ({"text": "premise", "claim": "hypothesis"}, ["no", "maybe", "yes"]),
    "two_classes": ({"text": "text"}, ["lost", "found"]),
}


def write_study(folder, name, base):
    """Write a study of one task and its data; its file and its runs have its name."""
    columns, labels = TASKS[name]

    def make(size, *, seed):
        rows = [row for row in reviews(size, seed=seed) if row["label"] < len(labels)]
        return [{**{new: row[old] for old, new in columns.items()}, "label": row["label"]} for row in rows]

    data = write_splits(folder / name, splits_of(make, train=48, validation=48, test=48))
    texts = dict(zip(("text_column", "text_pair_column"), columns.values(), strict=False))
    study = {
        "title": name,
        "task": {"name": "sequence_classification", "labels": labels, **texts},
        "dataset": str(data),
        "model_name_or_path": str(base),
        "max_length": 96,
        "methods": METHODS,
        "num_validation_samples": 6,
        "num_test_samples": 6,
        "training": {"num_train_epochs": 4, "train_batch_size": 8, "learning_rate": 0.02, "eval_strategy": "epoch"},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_bert):
    """The folder of the finished runs of all three tasks."""
    from hf_peft_compare.config.loading import load_study
    from hf_peft_compare.training.run import train_run

    folder = tmp_path_factory.mktemp("tasks")
    for name in TASKS:
        study = load_study(str(write_study(folder, name, tiny_bert)))
        for row in METHODS if name != "two_classes" else ("lora", "prompt_tuning"):
            config, origins = study.resolve(row=row, seed=0)
            train_run(config, origins, folder=folder / "runs" / name / config.run)
    return folder / "runs"


@pytest.fixture
def loads(monkeypatch):
    """The studies whose runs had a base loaded."""
    loaded = []

    def load(config):
        loaded.append(config.study)
        return load_base(config)

    monkeypatch.setattr(loading, "load_base", load)
    return loaded


def test_adapters_of_two_tasks_serve_one_base(runs, loads):
    folders = [runs / f"{task}/{row}-seed0" for row in METHODS for task in ("tweets", "pairs")]
    rows = reviews(12, seed=7)
    texts = {"tweets": [row["text"] for row in rows], "pairs": [(row["text"], row["claim"]) for row in rows]}
    asked = [(loading.read_finished(folder), texts[folder.parent.name]) for folder in [*folders, *folders[:2]]]

    together = list(predict_each(asked))
    assert loads == ["tweets"], "one base for six runs of two tasks, and for the first two again"
    alone = [row for one in asked for row in predict_each([one])]
    assert together == alone
    for row in together:
        assert row["prediction"] in TASKS[row["run"].split("/")[0]][1]
    # The tasks tell the runs apart, not the names of their classes alone.
    predicted = {run: [r["prediction"] for r in together if r["run"] == run] for run in {r["run"] for r in together}}
    places = {run: [TASKS[run.split("/")[0]][1].index(label) for label in labels] for run, labels in predicted.items()}
    assert places["tweets/lora-seed0"] != places["pairs/lora-seed0"]


def test_heads_of_as_many_classes_share_a_base_and_others_do_not(runs, loads):
    folders = [runs / f"{run}-seed0" for run in ("tweets/lora", "two_classes/lora", "two_classes/prompt_tuning")]
    rows = predict_texts(folders, [row["text"] for row in reviews(4, seed=7)])
    assert {row["prediction"] for row in rows} <= {*TASKS["tweets"][1], *TASKS["two_classes"][1]}
    assert loads == ["tweets", "two_classes"]


def test_predict_reads_for_each_run_the_columns_of_its_own_data(runs, command, tmp_path):
    arguments = ["predict", "tweets/lora-seed0", "--adapter", "pairs/lora-seed0", "--output-dir", runs]
    rows = [{"text": r["text"], "premise": r["text"], "hypothesis": r["claim"]} for r in reviews(3, seed=7)]
    write_rows(tmp_path / "new.jsonl", rows)
    status, output, errors = command(*arguments, "--file", "new.jsonl")
    assert status == 0, errors
    predictions = list(map(json.loads, output.splitlines()))
    assert [(p["run"], p["id"]) for p in predictions] == [
        (f"{task}/lora-seed0", str(number)) for task in ("tweets", "pairs") for number in range(3)
    ]
    assert all(p["prediction"] in TASKS[p["run"].split("/")[0]][1] for p in predictions)

    status, _, errors = command(*arguments, "--text", "A fox.")
    assert status == 2 and "premise and hypothesis" in errors
