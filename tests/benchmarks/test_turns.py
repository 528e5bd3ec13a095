"""Sides take turns in their own processes, and each is measured separately."""

import sys
import time
from functools import partial

import pytest

from hf_peft_compare.core.errors import RunFailed

MEGABYTES = 64


def write_names(path, name, turns):
    """Add a name to a file in each turn and return it."""
    while True:
        turns.begin()
        with path.open("a") as file:
            file.write(name)
        turns.end(name)


def sleep(seconds, turns):
    """Load slowly, then work until there are no more turns, although exceptions are caught in between."""
    time.sleep(0.2)
    while True:
        try:
            turns.begin()
            time.sleep(seconds)
            turns.end()
        except Exception:
            pass


def allocate(size, turns):
    """Hold `num_bytes` only during each turn."""
    while True:
        turns.begin()
        held = bytearray(b"1") * size
        del held
        turns.end()


def fail(turns):
    """Fail in the first turn."""
    turns.begin()
    raise ValueError("broken")


def test_sides_take_turns_in_order(tmp_path):
    from benchmarks.turns import interleave

    path = tmp_path / "names"
    sides = interleave({name: partial(write_names, path, name) for name in "ab"}, repetitions=3, warmups=1)
    assert path.read_text() == "abababab"
    assert sides["a"].results == ["a"] * 4, "what the warm-up handed back is there too"
    assert len(sides["a"].seconds) == 3, "the warm-up is not measured"


def test_a_turn_lasts_as_long_as_its_own_work():
    from benchmarks.turns import interleave

    sides = interleave({"quick": partial(sleep, 0.0), "slow": partial(sleep, 0.4)}, repetitions=2)
    assert all(seconds >= 0.4 for seconds in sides["slow"].seconds)
    assert all(seconds < 0.4 for seconds in sides["quick"].seconds), "neither loading nor the other side's turn counts"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset the peak of a process's memory")
def test_a_peak_is_the_sides_own_and_above_what_was_loaded():
    from benchmarks.turns import interleave

    size = MEGABYTES * 2**20
    sides = interleave({"large": partial(allocate, size), "small": partial(allocate, 1)}, repetitions=1)
    assert 0.9 * size <= sides["large"].memory.work_bytes < 1.5 * size
    assert sides["small"].memory.work_bytes < size / 2


def test_a_side_that_breaks_is_named():
    from benchmarks.turns import interleave

    with pytest.raises(RunFailed, match="the bad one ended"):
        interleave({"good": partial(sleep, 0.0), "the bad one": fail}, repetitions=1)
