"""The settings that all runs of a study share."""

import pytest

from hf_peft_compare.config.protocol import is_embedded, local_path
from hf_peft_compare.core.errors import UserError


@pytest.mark.parametrize("name", ["embedded", "embedded/statements"])
def test_what_is_embedded_is_told_from_its_name(name):
    assert is_embedded(name)
    assert not any(map(is_embedded, (f"anna/{name}", f"./{name}", "embedded_tickets.csv", "")))


@pytest.mark.parametrize(
    "dataset", ["embedded/..", "embedded/../../..", "embedded/statements/../../x", "embedded//etc"]
)
def test_an_embedded_dataset_is_in_this_package(dataset):
    assert local_path("embedded/statements").is_dir()
    with pytest.raises(UserError, match="is not in this package"):
        local_path(dataset)
