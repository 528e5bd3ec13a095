"""The sections on statistics show what the comparison found: the verdict, all pairs, the fronts."""

from __future__ import annotations

import re
from pathlib import Path

from pages import read_table
from synthetic import TITLES, Study, make_study_runs

from hf_peft_compare.comparison import Comparison, render_table
from hf_peft_compare.comparison.pareto import pareto_fronts
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.report.sections.pairwise import ordered_pairs
from hf_peft_compare.report.writing import gather, render_sections
from hf_peft_compare.utils.formatting import format_difference, format_interval, format_p_value, format_percent


def comparison_of(seeds: tuple[int, ...] = (0,)) -> Comparison:
    return gather(Study(seeds=list(seeds)), *make_study_runs(seeds=seeds)).comparison  # type: ignore[arg-type]


def test_the_verdict_is_the_first_section_and_the_terminal_prints_the_same(full: Path) -> None:
    page = (full / "README.md").read_text(encoding="utf-8")
    verdict = describe_verdict(comparison_of())
    assert page.index("## Verdict") < page.index("## Analysis")
    terminal = " ".join(render_table(comparison_of()).split())
    for sentence in verdict:
        assert " ".join(sentence.split()) in terminal
        assert sentence.split("(")[0].replace("_", r"\_") in page


def test_every_pair_is_in_the_table_once_with_the_comparisons_numbers(full: Path) -> None:
    page = (full / "index.html").read_text(encoding="utf-8")
    assert "Minimum detectable difference" in page and "Win rate" in page
    pairs = ordered_pairs(comparison_of())
    assert len(pairs) == len(TITLES) * (len(TITLES) - 1) / 2
    assert all((pair.mean or 0) >= 0 for pair in pairs)  # the better row minus the other
    last = {pair.row: pair for pair in pairs}  # the reader keeps the last line of each first cell
    for row, cells in read_table(page, "pairs").items():
        if row in TITLES.values():
            pair = last[next(key for key, title in TITLES.items() if title == row)]
            assert cells[:4] == [
                TITLES[pair.other],
                format_difference(pair.mean),
                format_interval(pair.interval, signed=True),
                format_p_value(pair.adjusted_p_value),
            ]


def test_only_significant_differences_are_marked(full: Path) -> None:
    table = (full / "index.html").read_text(encoding="utf-8").split('id="table-pairs"')[1].split("</table>")[0]
    assert table.count(" best") == sum(pair.significant for pair in comparison_of().pairs) > 0


def test_seeds_and_examples_needed_are_those_of_the_difference_that_matters() -> None:
    study = Study(seeds=[0, 1, 2], smallest_difference=0.01)
    blocks = {s.name: b for s, b in render_sections(gather(study, *make_study_runs(seeds=(0, 1, 2))))}  # type: ignore[arg-type]
    table = blocks["pairwise"][-1]
    assert any(cell.text != "–" for cells in table.rows for cell in cells[-2:])  # type: ignore[union-attr]
    assert "a difference of 0.010, the smallest that matters" in " ".join(table.notes)  # type: ignore[union-attr]


def test_the_front_shows_shares_of_every_cost(full: Path) -> None:
    shown = read_table((full / "index.html").read_text(encoding="utf-8"), "pareto")
    fronts = pareto_fronts(comparison_of())
    assert [front.cost.key for front in fronts] == ["trainable_params", "train_seconds", "train_peak_allocated_bytes"]
    for row, title in TITLES.items():
        assert shown[title] == [format_percent(round(front.shares[row], 2)) for front in fronts]


def test_without_predictions_nothing_is_tested(tmp_path: Path) -> None:
    records, _ = make_study_runs()
    comparison = gather(Study(), records, {}).comparison  # type: ignore[arg-type]
    assert all(pair.p_value is None for pair in comparison.pairs) and pareto_fronts(comparison) == []
    assert "Not tested against it" in " ".join(describe_verdict(comparison))


def test_what_intervals_hold_over_is_said_once(full: Path) -> None:
    """Pairs of floors are compared over examples alone, which the words for all other pairs say too."""
    page = (full / "README.md").read_text(encoding="utf-8")
    (note,) = re.findall(r"Intervals hold for all pairs at once, with 95 % confidence: (.*)\.", page)
    assert note.startswith("over ") and note.count("test examples") == 1
