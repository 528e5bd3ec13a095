"""A finished run is used on the base that it was trained on, or not at all."""

import re
import shutil

import pytest
from tiny import save_tiny_model, tiny_model

from hf_peft_compare.core.errors import UserError
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


def test_a_row_without_a_model_needs_no_base(model, train, tmp_path):
    train("lead", f"model_name_or_path={model}", folder="run", methods={"lead": {}})
    shutil.rmtree(model)
    assert load_run(tmp_path / "run").model is None
