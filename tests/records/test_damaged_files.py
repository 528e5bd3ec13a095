"""Damaged records and predictions: a valid result or one error that names the file, whatever the damage."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.run_folder import PREDICTIONS_FILE, RECORD_FILE
from hf_peft_compare.report.writing import render_sections
from hf_peft_compare.results.result import Result

PUBLISHED = Path(__file__).parents[2] / "reports" / "quickstart-classification" / "records"
RUNS = ("lora-seed0", "majority-seed0", "full-seed0")
ODD: list[Any] = [
    None,
    [],
    {},
    [None],
    {"x": None},
    "",
    "x",
    True,
    0,
    -1,
    2**62,
    10**30,
    1e308,
    float("nan"),
    -float("inf"),
]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every value in a tree of mappings and lists, at most two of a list."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:2]) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    """Return a copy with another value at a place, or without it."""
    made = copy.deepcopy(tree)
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    if drop:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return made


RECORD = json.loads((PUBLISHED / RUNS[0] / RECORD_FILE).read_bytes())
LINES = [json.loads(line) for line in (PUBLISHED / RUNS[0] / PREDICTIONS_FILE).read_bytes().splitlines()]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three published runs, with the first examples only."""
    folder = tmp_path_factory.mktemp("study")
    for run in RUNS:
        (folder / run).mkdir()
        (folder / run / RECORD_FILE).write_bytes((PUBLISHED / run / RECORD_FILE).read_bytes())
        lines = (PUBLISHED / run / PREDICTIONS_FILE).read_bytes().splitlines(keepends=True)
        (folder / run / PREDICTIONS_FILE).write_bytes(b"".join(lines[:6]))
    return folder


def read_whole(folder: Path, damaged: Path, content: bytes) -> None:
    """Read a study of which one file is damaged, to the end of its report; UserErrors name the file."""
    before = damaged.read_bytes()
    damaged.write_bytes(content)
    try:
        result = Result.read(folder)
        render_sections(result._material)
        result.choose()
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
    finally:
        damaged.write_bytes(before)


quick = settings(max_examples=25, deadline=None, derandomize=True)


@quick
@given(st.sampled_from(sorted(places(RECORD), key=str)), st.sampled_from(ODD), st.booleans())
def test_a_record_with_one_odd_value_is_reported_or_refused(study: Path, path: Any, value: Any, drop: bool) -> None:
    content = json.dumps(changed(RECORD, path, value, drop=drop)).encode()
    read_whole(study, study / RUNS[0] / RECORD_FILE, content)


@quick
@given(st.sampled_from(sorted(places(LINES[0]), key=str)), st.sampled_from(ODD), st.booleans())
def test_a_prediction_with_one_odd_value_is_reported_or_refused(study: Path, path: Any, value: Any, drop: bool) -> None:
    lines = [changed(LINES[0], path, value, drop=drop), *LINES[1:6]]
    read_whole(study, study / RUNS[0] / PREDICTIONS_FILE, "\n".join(map(json.dumps, lines)).encode())


@quick
@given(st.sampled_from([RECORD_FILE, PREDICTIONS_FILE]), st.integers(0), st.integers(0, 9), st.binary(max_size=5))
def test_bytes_cut_out_of_a_file_or_put_into_it_are_refused(
    study: Path, name: str, start: int, length: int, put: bytes
) -> None:
    file = study / RUNS[0] / name
    before = file.read_bytes()
    start %= len(before)
    read_whole(study, file, before[:start] + put + before[start + length :])
