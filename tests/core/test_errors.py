"""Errors that say what to do."""

from hf_peft_compare.core.errors import unknown


def test_an_unknown_name_names_the_nearest_and_all_valid_ones():
    assert (
        str(unknown("row", "lroa", ["lora", "full"])) == "unknown row 'lroa'. Did you mean 'lora'? Valid: full, lora."
    )


def test_where_nothing_is_near_or_known_it_says_so():
    assert str(unknown("row", "xyz", ["lora"])) == "unknown row 'xyz'. Valid: lora."
    assert str(unknown("row", "xyz", [])) == "unknown row 'xyz'. Valid: none."
