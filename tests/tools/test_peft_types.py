"""Every type of peft does what the documentation's table says."""

from pathlib import Path

import pytest
from peft import PeftType

from hf_peft_compare.methods.peft_rules import NEEDS_VALUES, UNSUPPORTED
from tools.peft_types import ARCHITECTURES, HEAD, RATES_HEAD, SETTINGS, outcome, rates_table

PAGE = Path(__file__).parents[2] / "docs/reference/peft-types.md"
TYPES = sorted(kind.value for kind in PeftType)
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in PAGE.read_text().split(RATES_HEAD)[0].splitlines()
    if line.startswith("| `") and (cells := [cell.strip() for cell in line.removeprefix("|").split("|")][:-1])
}


def test_the_table_has_every_type_of_peft():
    assert PAGE.read_text().startswith(HEAD)
    assert list(ROWS) == TYPES, "make it again: python -m tools.peft_types > docs/reference/peft-types.md"


def test_the_table_of_learning_rates_is_that_of_the_code():
    assert PAGE.read_text().endswith(f"{RATES_HEAD}\n{rates_table()}"), "make it again, as above"
    assert "`peft_type: IA3` | 0.008 | 0.0003 to 0.3 | peft's guide" in rates_table()


def test_what_is_refused_or_set_by_name_is_a_type_of_peft():
    assert {*UNSUPPORTED, *NEEDS_VALUES, *SETTINGS} <= set(TYPES)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("peft_type", TYPES)
def test_a_type_does_what_the_table_says(peft_type, architecture):
    word, reason = outcome(peft_type, architecture)
    *words, notes = ROWS[peft_type]
    assert word == words[list(ARCHITECTURES).index(architecture)]
    assert reason in notes
