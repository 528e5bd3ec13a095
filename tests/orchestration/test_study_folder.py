"""A study's folder: locked by one process, and old runs are kept."""

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.study_folder import locked, supersede


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
    with locked(tmp_path):
        with pytest.raises(UserError, match="another process is running this study"), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass
