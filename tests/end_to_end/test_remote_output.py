"""A study whose output directory is in an object store: run here, read, chosen from and used on another machine."""

import pytest
from remote_stores import elsewhere, store  # noqa: F401 - fixtures

from hf_peft_compare import compare, load, summarization
from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import BAD_INPUT, OK
from hf_peft_compare.utils.remote_folder import local_folder, remote_of

ROWS = {"lead": {}, "last_layers": {}}


@pytest.mark.slow
@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
def test_what_one_machine_has_run_another_reads(store, elsewhere, tiny_study, tmp_path, capsys):  # noqa: F811
    tiny_study("seeds=[0]", methods=ROWS, tune=None, training={"num_train_epochs": 1})
    file, place = str(tmp_path / "tiny.yaml"), ["--output-dir", store]
    assert main(["run", file, *place]) == OK
    assert f"uploaded to {store}/tiny/report" in capsys.readouterr().out

    elsewhere("there")
    assert main(["status", "tiny", *place]) == OK
    assert "tiny: 2 finished" in capsys.readouterr().out
    assert main(["run", file, *place]) == OK
    assert capsys.readouterr().out.count("finished before, unchanged") == 2
    assert main(["choose", "tiny", *place]) == main(["choose", f"{store}/tiny"]) == OK
    assert capsys.readouterr().out.count("Recommended: ") == 2
    assert not (local_folder(store) / "tiny/last_layers-seed0/model").exists()
    assert main(["predict", "tiny/last_layers-seed0", *place, "--text", "A story."]) == OK
    assert '"run": "tiny/last_layers-seed0"' in capsys.readouterr().out
    assert main(["report", file, *place]) == OK
    assert "report/index.html" in remote_of(local_folder(store) / "tiny").files()


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_from_python_a_url_is_a_folder_like_another(store, elsewhere):  # noqa: F811
    sizes = {"num_train_samples": 8, "num_validation_samples": 4, "num_test_samples": 4, "max_length": 256}
    given = {"seeds": 1, "tune": None, "settings": {**sizes, "costs": False}, "output_dir": f"{store}/tickets"}
    result = compare("embedded", "embedded", summarization(), ["lead"], **given)
    result.report()
    elsewhere("there")
    found = load(f"{store}/tickets")
    assert found.study.name == "tickets" and list(found) == ["lead"]
    assert compare("embedded", "embedded", summarization(), ["lead"], **given).outcomes == {"lead-seed0": "skipped"}


def test_what_cannot_be_used_ends_before_anything_trains(tiny_study, tmp_path, capsys):
    tiny_study(methods=ROWS)
    file = str(tmp_path / "tiny.yaml")
    assert main(["run", file, "--output-dir", "nonsense://bucket"]) == BAD_INPUT
    assert "no file system has the protocol 'nonsense'" in capsys.readouterr().err
    assert main(["train", file, "--method", "lead", "--output-dir", "memory://bucket"]) == BAD_INPUT
    assert "train writes to a folder of this machine, not to memory://bucket" in capsys.readouterr().err


def test_a_folder_without_results_is_said_by_its_url(tiny_study, tmp_path, capsys):
    tiny_study(methods=ROWS)
    for command in (["report", str(tmp_path / "tiny.yaml")], ["choose", "tiny"], ["status", "tiny"]):
        assert main([*command, "--output-dir", "memory://nothing/here"]) == BAD_INPUT
        assert "memory://nothing/here" in capsys.readouterr().err
