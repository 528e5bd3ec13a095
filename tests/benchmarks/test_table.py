"""Ratios, and the refusal to compare what is not the same."""

import pytest

from hf_peft_compare.core.errors import RunFailed


def test_the_ratio_is_that_of_the_medians_and_the_spread_that_of_the_turns():
    from benchmarks.table import compare_seconds

    row = compare_seconds("x", [1.0, 2.0, 4.0], [3.0, 6.0, 6.0], aim=2.5)
    assert (row.ours, row.plain, row.ratio) == (2.0, 6.0, 3.0)
    assert row.spread == (1.5, 3.0)
    assert row.met


@pytest.mark.parametrize("aim, met", [(1.9, True), (2.1, False)])
def test_an_aim_is_met_or_not(aim, met):
    from benchmarks.table import compare_seconds, markdown

    row = compare_seconds("x", [1.0], [2.0], aim=aim)
    assert row.met is met
    assert f"≥ {aim:g}: {'yes' if met else 'no'}" in markdown([row])


def test_no_aim_no_verdict():
    from benchmarks.table import compare_seconds, markdown

    text = markdown([compare_seconds("x", [0.5], [2.0])])
    assert "yes" not in text and "no" not in text
    assert "| x | 500 ms | 2 s | **4.00** | 4.00 to 4.00 |  |  |" in text


def losses(*values):
    """Return the results of a Trainer's turns."""
    return [{"losses": [value]} for value in values]


def test_the_same_losses_are_noted():
    from benchmarks.table import same_losses

    assert same_losses("x", losses(1.0, 2.0), losses(1.0, 2.000004)) == "2 losses, at most 4e-06 apart"


@pytest.mark.parametrize(
    "ours, plain",
    [
        (losses(1.0, 2.0), losses(1.0, 2.00002)),
        (losses(1.0, 2.0), losses(1.0, float("nan"))),
        (losses(float("nan")), losses(float("nan"))),
        ([], []),
    ],
)
def test_other_work_is_not_compared(ours, plain):
    from benchmarks.table import same_losses

    with pytest.raises(RunFailed, match="x: losses"):
        same_losses("x", ours, plain)


def test_other_texts_are_not_compared():
    from benchmarks.generation import same_tokens

    assert same_tokens([[1, 2], [3]], [[1, 2], [3]]) == "2 texts, 3 tokens, all the same"
    with pytest.raises(RunFailed, match=r"1 of 2 texts differ, such as \(\[3\], \[4\]\)"):
        same_tokens([[1, 2], [3]], [[1, 2], [4]])
