"""A study's folder: owned by one process, and old runs are kept."""

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.study_folder import check_folder, owned_by_this_process
from hf_peft_compare.records.run_folder import supersede


def test_what_is_superseded_is_kept_beside_what_was_before(tmp_path):
    kept = []
    for text in ("first", "second"):
        folder = tmp_path / "lora-seed0"
        folder.mkdir()
        (folder / "record.json").write_text(text)
        kept.append(supersede(folder))
        assert not folder.exists()
    assert [path.name for path in kept] == ["lora-seed0-1", "lora-seed0-2"]
    assert [(path / "record.json").read_text() for path in kept] == ["first", "second"]


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    with owned_by_this_process(tmp_path):
        with pytest.raises(UserError, match="another process is running this study"), owned_by_this_process(tmp_path):
            pass
    with owned_by_this_process(tmp_path):
        pass


@pytest.mark.parametrize("name", ["", "log.txt", "model", "record.json", "checkpoints"])
def test_a_run_does_not_write_through_a_link(name, tmp_path):
    (tmp_path / "theirs").mkdir()
    run = tmp_path / "study" / "lora-seed0"
    run.parent.mkdir()
    if name:
        run.mkdir()
    (run / name if name else run).symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match="lora-seed0.* is a link to .*theirs.*delete it"):
        check_folder(run.parent, [run])


def test_an_owner_file_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / ".owner").symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match=r"\.owner is not a file of ours"), owned_by_this_process(tmp_path):
        pass
    assert (tmp_path / "theirs").read_text() == "kept"
