"""Names of repositories: derived from one, checked before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.publishing.repositories import MARKER, PublishOptions, study_of_marker, write_marker


def test_a_model_is_named_after_the_study_and_its_row() -> None:
    options = PublishOptions(to="anna/tickets", rows=["lora", "lora_r=8"])
    assert options.models == {"lora": "anna/tickets-lora", "lora_r=8": "anna/tickets-lora_r-8"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": "tickets"}, "expected NAMESPACE/NAME"),
        ({"to": "anna/tick ets"}, "'anna/tick ets' is no name"),
        ({"to": f"anna/{'x' * 95}", "rows": ["lora"]}, "is no name"),
        ({"to": "anna/t", "rows": ["a=1", "a-1"]}, "have the same name"),
        ({"to": "anna/t", "license": "The MIT License"}, "expected an identifier"),
        ({"to": "anna/t", "hub_ids": {"data.csv": "my data"}}, "'my data' is no name"),
    ],
)
def test_a_name_that_the_hub_does_not_take_is_one_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PublishOptions(**changes)  # type: ignore[arg-type]


def test_a_marker_names_its_study_and_anything_else_is_none(tmp_path: Path) -> None:
    write_marker(tmp_path, "tiny")
    assert study_of_marker((tmp_path / MARKER).read_text()) == "tiny"
    assert study_of_marker("[]") is None and study_of_marker("{") is None
