"""A finished run is used on the base that it was trained on, or not at all."""

import re
import shutil

import pytest
from tiny import save_tiny_model, tiny_config, tiny_model
from transformers import AutoModelForCausalLM

from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import BAD_INPUT, UserError
from hf_peft_compare.inference import loading
from hf_peft_compare.inference.export import export_run
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.inference.prediction import predict_texts


@pytest.fixture
def model(tmp_path):
    return save_tiny_model("gpt2", tmp_path / "model")


def test_an_overwritten_base_is_refused_and_the_old_one_back_again_is_not(model, train, tmp_path):
    train("lora", f"model_name_or_path={model}", "training.num_train_epochs=1", folder="run")
    predictions = list(predict_texts([tmp_path / "run"], ["a text"]))
    shutil.copytree(model, tmp_path / "old")
    (model / "README.md").write_text("a note that no run reads")
    assert list(predict_texts([tmp_path / "run"], ["a text"])) == predictions
    tiny_model(seed=1).save_pretrained(model)
    expected = f"the base model in {model} is not the one that run tiny/lora-seed0 was trained on"
    for use in (load_run, lambda run: predict_texts([run], ["a text"]), lambda run: export_run(run, "out", merge=True)):
        with pytest.raises(UserError, match=re.escape(expected)):
            use(tmp_path / "run")
    shutil.copytree(tmp_path / "old", model, dirs_exist_ok=True)
    assert list(predict_texts([tmp_path / "run"], ["a text"])) == predictions


@pytest.mark.parametrize("asked", [["predict", "run", "--text", "a text"], ["export", "run", "out"]])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: tiny_model(seed=1).save_pretrained(model), "is not the one that run tiny/lora-seed0"),
        (shutil.rmtree, "does not exist"),
    ],
    ids=["overwritten", "gone"],
)
def test_the_command_names_the_folder_in_one_line(asked, change, words, model, train, tmp_path, monkeypatch, capsys):
    train("lora", f"model_name_or_path={model}", "training.num_train_epochs=1", folder="run")
    change(model)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(asked) == BAD_INPUT
    output, errors = capsys.readouterr()
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert str(model) in line and words in line and "Traceback" not in errors
    assert output == "" and not (tmp_path / "out").exists()


@pytest.mark.parametrize("row", ["lora", "last_layers"])
def test_a_base_of_another_size_is_refused_where_its_files_are_not_compared(row, model, train, tmp_path, monkeypatch):
    """Models of the Hub are known by name and revision alone, and a branch may move on."""
    train(row, f"model_name_or_path={model}", "training.num_train_epochs=1", folder="run")
    wide = tiny_config("gpt2")
    wide.n_embd = 64
    AutoModelForCausalLM.from_config(wide).save_pretrained(model)
    monkeypatch.setattr(loading, "changed_models", lambda config, begun: [])
    with pytest.raises(
        UserError, match=f"{re.escape(str(model))} has other sizes than the base of run tiny/{row}-seed0"
    ):
        load_run(tmp_path / "run")


def test_a_row_without_a_model_needs_no_base(model, train, tmp_path):
    train("lead", f"model_name_or_path={model}", folder="run", methods={"lead": {}})
    shutil.rmtree(model)
    assert load_run(tmp_path / "run").model is None
