"""Grids: a row varied over lists is as many rows, each with all other settings in common."""

import pytest

from hf_peft_compare.config.grids import cells, describe_rows, grids_of
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError

ROWS = {
    "full": {},
    "lora": {
        "r": 4,
        "training": {"learning_rate": 0.5},
        "grid": {"num_train_samples": [8, 16], "lora_dropout": [0.0, 0.1]},
    },
}
NAMES = ["lora-8-0.0", "lora-8-0.1", "lora-16-0.0", "lora-16-0.1"]


def resolved(study, row):
    return study.resolve(row=row, seed=0)[0]


def test_a_grid_is_a_row_for_each_combination_in_its_place(tiny_study):
    study = tiny_study(methods={**ROWS, "zero_shot": {}})
    assert list(study.config.methods) == ["full", *NAMES, "zero_shot"]
    runs = {row: resolved(study, row) for row in NAMES}
    found = [(run.num_train_samples, run.method_settings.lora_dropout) for run in runs.values()]
    assert found == [(8, 0.0), (8, 0.1), (16, 0.0), (16, 0.1)]
    for row, run in runs.items():
        assert run.method["name"] == "lora" and run.method_settings.r == 4
        assert run.training.learning_rate == 0.5
        assert run.grid == cells("lora", ROWS["lora"]["grid"])[row]
    assert resolved(study, "full").grid == {} and resolved(study, "full").num_train_samples == 24


def test_training_settings_and_the_length_can_be_varied(tiny_study):
    grid = {"training.learning_rate": [1e-4, 1e-3], "max_length": [64, 80]}
    study = tiny_study(methods={"slow": {"method": "lora", "grid": grid}})
    run = resolved(study, "slow-0.001-64")
    assert (run.training.learning_rate, run.max_length, run.training.train_batch_size) == (0.001, 64, 8)


def test_settings_of_a_peft_type_can_be_varied(tiny_study):
    study = tiny_study(methods={"p": {"peft_type": "P_TUNING", "grid": {"num_virtual_tokens": [2, 4]}}})
    assert [resolved(study, row).max_text_length for row in ("p-2", "p-4")] == [94, 92]


def test_the_command_line_changes_a_grid_its_rows_and_one_of_them(tiny_study):
    study = tiny_study(
        "methods.lora.grid.lora_dropout=[0.3]",
        "methods.lora.r=2",
        "methods={lora-16-0.3: {r: 3}}",
        "num_train_samples=20",
        methods=ROWS,
    )
    assert list(study.config.methods) == ["full", "lora-8-0.3", "lora-16-0.3"]
    run, origins = study.resolve(row="lora-8-0.3", seed=0)
    assert (run.method_settings.r, resolved(study, "lora-16-0.3").method_settings.r) == (2, 3)
    # The name says 8, so it is 8, whatever else is said; rows that are of no grid follow the command line.
    assert (run.num_train_samples, resolved(study, "full").num_train_samples) == (8, 20)
    assert (origins["num_train_samples"], origins["method.lora_dropout"]) == ("study method", "command line")


def test_a_grid_can_be_left_out_on_the_command_line(tiny_study):
    study = tiny_study("methods.lora.grid=null", methods=ROWS)
    assert list(study.config.methods) == ["full", "lora"]
    assert resolved(study, "lora").method_settings.r == 4


def test_a_longer_list_changes_nothing_of_the_runs_that_were_there(tiny_study):
    before = resolved(tiny_study(methods=ROWS), "lora-8-0.1")
    after = resolved(tiny_study("methods.lora.grid.lora_dropout=[0.0, 0.1, 0.2]", methods=ROWS), "lora-8-0.1")
    assert before.hash == after.hash


def test_a_row_on_its_own_has_its_own_number_of_train_samples(tiny_study):
    study = tiny_study(methods={"few": {"method": "lora", "num_train_samples": 8, "max_length": 64}, "lora": {}})
    few, lora = resolved(study, "few"), resolved(study, "lora")
    assert (few.num_train_samples, few.max_length) == (8, 64)
    assert (lora.num_train_samples, lora.max_length) == (24, 96)


def test_expanded_rows_tell_the_grid_that_they_are_of(tiny_study):
    methods = tiny_study(methods=ROWS).config.methods
    assert grids_of(methods) == {"lora": ROWS["lora"]["grid"]}
    assert describe_rows(methods) == ["full", "lora (num_train_samples 8, 16 × lora_dropout 0.0, 0.1)"]


def test_lists_name_rows_by_letters_that_a_folder_may_have(tiny_study):
    study = tiny_study(methods={"lora": {"grid": {"target_modules": [["c_attn"], ["c_attn", "mlp.c_fc"]]}}})
    assert list(study.config.methods) == ["lora-c_attn", "lora-c_attn_mlp.c_fc"]
    assert resolved(study, "lora-c_attn_mlp.c_fc").method_settings.target_modules == ["c_attn", "mlp.c_fc"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"lora_dropot": [0.1]}, "unknown key of methods.lora.grid 'lora_dropot'. Did you mean 'lora_dropout'"),
        ({"training.learning_rat": [0.1]}, "Did you mean 'training.learning_rate'"),
        ({"dataset": ["a"]}, "unknown key of methods.lora.grid 'dataset'"),
        ({"model_name_or_path": ["a"]}, "unknown key of methods.lora.grid 'model_name_or_path'"),
        ({"r": []}, "methods.lora.grid.r is []; expected a list of at least one value"),
        ({"r": 4}, "methods.lora.grid.r is 4"),
        ({}, "methods.lora.grid is {}"),
        ([4], "methods.lora.grid is [4]"),
        ({"r": [4, 4]}, "two method rows are named 'lora-4'"),
        ({"r": [8]}, "two method rows are named 'lora-8'"),
        ({"lora_alpha": [8]}, "methods.lora sets lora_alpha, which its grid also varies"),
        ({"training.weight_decay": [0.1]}, "methods.lora sets training.weight_decay"),
    ],
)
def test_wrong_grids_are_errors_that_teach(grid, message, tiny_study):
    lora = {"lora_alpha": 3, "training": {"weight_decay": 0.2}, "grid": grid}
    with pytest.raises(UserError) as error:
        tiny_study(methods={"lora": lora, "lora-8": {"method": "lora"}})
    assert message in str(error.value)


def test_a_wrong_value_in_a_list_names_its_row_and_key(tiny_study):
    study = tiny_study(methods={"lora": {"grid": {"num_train_samples": ["few"]}}})
    with pytest.raises(UserError, match="method lora-few: num_train_samples is 'few'"):
        study.resolve(row="lora-few", seed=0)


def test_references_of_a_grid_are_read_in_the_order_of_its_lists(tiny_study):
    references = {
        "source": "s",
        "rows": {"lora-8-0.0": {"trainable_params": 5}},
        "grids": {"lora": [[1, 2], [3, None]]},
    }
    rows = tiny_study(methods=ROWS, references=references).config.references.rows
    assert rows == {
        "lora-8-0.0": {"trainable_params": 5, "rougeL_fmeasure": 1},
        "lora-8-0.1": {"rougeL_fmeasure": 2},
        "lora-16-0.0": {"rougeL_fmeasure": 3},
    }
    changed = tiny_study("methods.lora.grid.lora_dropout=[0.1]", methods=ROWS, references=references)
    assert changed.config.references.rows == rows  # each value stays with the cell that it is of


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ({"lora": [[1, 2]]}, r"references.grids.lora has \[\[1, 2\]\]; expected a list of 2"),
        ({"lora": [1, 2]}, "references.grids.lora has 1; expected a list of 2"),
        ({"full": [[1]]}, "unknown row of references.grids 'full'"),
    ],
)
def test_references_of_another_shape_are_refused(grids, message, tiny_study):
    with pytest.raises(UserError, match=message):
        tiny_study(methods=ROWS, references={"source": "s", "grids": grids})


def test_a_study_of_the_package_has_both_grids_of_its_reference():
    config = load_study("llama2-imdb").config
    samples = [50, 150, 500, 2500]
    assert grids_of(config.methods) == {
        "prompt_tuning": {"num_train_samples": samples, "num_virtual_tokens": [8, 25, 80]},
        "lora": {"num_train_samples": samples, "lora_dropout": [0.0, 0.1, 0.2]},
    }
    # Project report, 2024: the corners of both grids.
    corners = ["prompt_tuning-50-8", "prompt_tuning-2500-80", "lora-50-0.2", "lora-2500-0.0"]
    assert [config.references.rows[row]["accuracy"] for row in corners] == [0.649, 0.9615, 0.9215, 0.961]
