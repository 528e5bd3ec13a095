"""Objects given from Python: saved once, named by their content; methods of all kinds as rows of a study."""

import textwrap
from pathlib import Path

import pandas
import pytest
from datasets import ClassLabel, Dataset, DatasetDict
from tiny import reviews, tiny_model, tiny_tokenizer

from hf_peft_compare.api import make_study
from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_task, read_pickled
from hf_peft_compare.data.reading import load_raw
from hf_peft_compare.inputs.datasets import named_or_splits, save_dataset, with_labels
from hf_peft_compare.inputs.methods import rows_of
from hf_peft_compare.inputs.models import save_model
from hf_peft_compare.inputs.tasks import instruction_tuning
from hf_peft_compare.methods.majority import Majority

ROWS = reviews(20, seed=0)
KINDS = {
    "list": lambda rows: rows,
    "frame": pandas.DataFrame,
    "dataset": Dataset.from_list,
    "dict": lambda rows: DatasetDict({"train": Dataset.from_list(rows)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_is_saved_once_and_read_as_it_was(kind, tmp_path):
    name, cut = save_dataset(named_or_splits(KINDS[kind](ROWS)), tmp_path)
    assert cut == {
        "num_validation_samples": 2,
        "num_test_samples": 2,
        "validation_split": "train",
        "test_split": "train",
    }
    config = type("C", (), {"dataset": name, "task_type": type("T", (), {"load": lambda self, config: None})()})
    assert load_raw(config)["train"].to_list() == ROWS
    assert save_dataset(named_or_splits(KINDS[kind]([dict(row) for row in ROWS])), tmp_path)[0] == name
    changed = [{**ROWS[0], "text": "another"}, *ROWS[1:]]
    assert save_dataset(named_or_splits(KINDS[kind](changed)), tmp_path)[0] != name
    assert len(list((tmp_path / "inputs").iterdir())) == 2


def test_a_selected_table_and_a_copy_of_it_are_one(tmp_path):
    table = Dataset.from_list(ROWS)
    chosen, copied = table.select([4, 2, 9]), Dataset.from_list([ROWS[i] for i in (4, 2, 9)])
    one, other = (save_dataset(named_or_splits(same), tmp_path) for same in (chosen, copied))
    assert one == other


def test_splits_that_there_are_are_not_cut(tmp_path):
    _, cut = save_dataset(named_or_splits({"train": ROWS, "validation": ROWS[:4], "test": ROWS[:4]}), tmp_path)
    assert cut == {}


def test_a_file_whose_name_begins_like_the_embedded_data_has_labels_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("embedded_tickets.csv").write_text("text,label\na,sales\nb,support\n")
    task, methods = {"name": "sequence_classification"}, ["majority"]
    study = make_study("embedded", "embedded_tickets.csv", task, methods, output_dir=tmp_path / "runs/tickets")
    assert study.config.task["labels"] == ["sales", "support"]


def test_labels_are_those_of_the_data():
    task = {"name": "sequence_classification", "label_column": "team"}
    rows = [{"text": "a", "team": "b"}, {"text": "c", "team": "a"}]
    assert with_labels(task, named_or_splits(rows), {})["labels"] == ["a", "b"]
    named = Dataset.from_list([{"text": "a", "team": 0}]).cast_column("team", ClassLabel(names=["y", "x"]))
    assert with_labels(task, named_or_splits(named), {})["labels"] == ["y", "x"]
    assert with_labels({**task, "labels": ["q", "r"]}, named_or_splits(rows), {})["labels"] == ["q", "r"]


def test_whole_conversations_are_read_in_place_of_prompts_that_the_data_has_too():
    rows = [{"prompt": "Sum?", "turns": [{"role": "user", "content": "Sum?"}, {"role": "assistant", "content": "5"}]}]
    kind = get_task("instruction_tuning")
    for messages in ("turns", "prompt"):  # whatever the name of their column
        data = Dataset.from_list(rows if messages == "turns" else [{"prompt": rows[0]["turns"]}])
        config = StudyProtocol(task=instruction_tuning(messages=messages), dataset="d", model_name_or_path="m")
        (example,) = kind.examples(data, config.task_settings)
        assert (example.source, example.reference) == ("Sum?", "5")


def test_a_model_and_its_tokenizer_are_saved_once(tmp_path):
    path = save_model((tiny_model(), tiny_tokenizer()), tmp_path)
    assert save_model((tiny_model(), tiny_tokenizer()), tmp_path) == path
    assert save_model((tiny_model(seed=1), tiny_tokenizer()), tmp_path) != path
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoModelForCausalLM.from_pretrained(path).num_parameters() == tiny_model().num_parameters()
    assert AutoTokenizer.from_pretrained(path).eos_token == "<|endoftext|>"


@pytest.mark.parametrize("model", [("gpt2", "gpt2"), 3])
def test_a_model_that_is_none_is_one_clear_error(model, tmp_path):
    with pytest.raises(UserError, match="expected a hub id, a folder, or"):
        save_model(model, tmp_path)


def test_a_model_without_its_tokenizer_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="GPT2LMHeadModel; expected a hub id"):
        save_model(tiny_model(), tmp_path)


def test_configs_of_peft_are_rows_with_what_differs_from_the_defaults(tmp_path):
    from peft import IA3Config, LoraConfig, PromptTuningConfig

    wide = LoraConfig(r=64, use_dora=True, target_modules=["b", "a"])
    rows, plugins = rows_of(["lora", wide, {"ia3": IA3Config()}, PromptTuningConfig(num_virtual_tokens=3)], tmp_path)
    assert plugins == []
    assert rows == {
        "lora": {},
        "lora_2": {"method": "peft", "peft_type": "LORA", "r": 64, "target_modules": ["a", "b"], "use_dora": True},
        "ia3": {"method": "peft", "peft_type": "IA3"},
        "prompt_tuning": {"method": "peft", "peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3},
    }


def test_a_value_of_a_config_that_no_study_file_can_hold_is_named(tmp_path):
    from peft import LoraConfig

    with pytest.raises(UserError, match="LoraConfig.layers_to_transform is <object"):
        rows_of([LoraConfig(layers_to_transform=object())], tmp_path)


def make_mine(**attributes):
    return type("Mine", (Majority,), {"name": "mine", "title": "Mine", "__module__": "__main__", **attributes})


def test_a_method_that_children_cannot_import_is_sent_in_a_file_named_by_its_content(tmp_path):
    rows, (plugin,) = rows_of([make_mine()], tmp_path)
    assert rows == {"mine": {}} and read_pickled(plugin).title == "Mine"
    assert rows_of([make_mine()], tmp_path)[1] == [plugin]
    assert rows_of([make_mine(title="Other")], tmp_path)[1] != [plugin]


def test_a_method_of_a_module_is_found_by_its_module(tmp_path, monkeypatch):
    (tmp_path / "mine_in_a_module.py").write_text(
        textwrap.dedent("""
        from hf_peft_compare.methods.majority import Majority
        class Mine(Majority):
            name, title = "mine", "Mine"
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    import mine_in_a_module

    assert rows_of({"row": mine_in_a_module.Mine()}, tmp_path) == ({"row": {"method": "mine"}}, ["mine_in_a_module"])


def test_a_method_that_cannot_be_sent_is_named_with_the_reason(tmp_path):
    mine = make_mine()()
    mine.file = open(__file__, "rb")  # noqa: SIM115
    with mine.file, pytest.raises(UserError, match="method 'mine' cannot be sent .*BufferedReader"):
        rows_of([mine], tmp_path)


def test_a_method_without_a_name_is_one_clear_error(tmp_path):
    from hf_peft_compare.core.method import Method

    with pytest.raises(UserError, match="method Nameless lacks attribute name"):
        rows_of([type("Nameless", (Method,), {})], tmp_path)
