"""A study's result in Python, from a committed report's records."""

from dataclasses import replace
from pathlib import Path

import pytest

from hf_peft_compare.comparison.console import render_table
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.results.result import Result

QUICKSTART = Path(__file__).parents[2] / "reports/quickstart/records"


@pytest.fixture(scope="module")
def result():
    return Result.read(QUICKSTART)


def test_frames_hold_raw_figures_of_rows_runs_examples_and_pairs(result):
    frame, runs, examples = result.frame(), result.runs_frame(), result.examples_frame()
    assert list(frame.index) == list(result) and len(runs) == len(result.records)
    row = result["lora"].row
    assert frame.loc["lora", "rougeL_fmeasure"] == row.figures["rougeL_fmeasure"] == result["lora"].quality
    assert frame.loc["lora", "rougeL_fmeasure_low"] == row.intervals["rougeL_fmeasure"].low
    assert examples[examples.row == "lora"]["rougeL_fmeasure"].mean() == pytest.approx(row.figures["rougeL_fmeasure"])
    pairs = result.differences()
    assert len(pairs) == len(result) * (len(result) - 1) // 2 and (pairs.low <= pairs.high)[pairs.low.notna()].all()


def test_it_is_text_in_a_terminal_and_html_without_scripts_in_a_notebook(result):
    assert repr(result).startswith(render_table(result.comparison))
    html = result._repr_html_()
    assert "<svg" in html and "<script" not in html and "LoRA" in html
    assert all(sentence.split(" (")[0][:20] in html for sentence in result.verdict)


def test_text_from_outside_is_escaped():
    bad = "<script>x</script>"
    result = Result.read(QUICKSTART)
    hostile = {
        run: replace(
            record,
            card=replace(record.card, title=bad),
            scores={name: replace(score, title=bad, unit=bad) for name, score in record.scores.items()},
            **({"status": "failed", "error": bad, "row": bad} if record.row == "lora" else {}),
        )
        for run, record in result.records.items()
    }
    html = replace(result, records=hostile)._repr_html_()
    assert "<script" not in html and html.count("&lt;script&gt;") > 10


def test_plots_are_saved_as_svg_and_pdf(result, tmp_path):
    plot = result.plot("quality", "peak_memory")
    assert plot.save(tmp_path / "plot.svg").read_text().startswith("<svg") and "Resident peak" in plot.svg
    assert plot.save(tmp_path / "plot.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(UserError, match="expected .svg or .pdf"):
        plot.save(tmp_path / "plot.docx")
    with pytest.raises(UserError, match="unknown figure to plot 'peak_memry'. Did you mean 'peak_memory'"):
        result.plot("quality", "peak_memry")


def test_a_choice_prints_its_evidence(result):
    chosen = result.choose(max_memory="8GiB", mergeable=True)
    assert chosen.row == result.comparison.best_row and str(chosen).startswith("Recommended: ")
    assert result.choose(max_memory="1B").row is None
    with pytest.raises(UserError, match="'8' is not a size"):
        result.choose(max_memory="8")


def test_the_report_is_written_where_it_is_asked_for(result, tmp_path):
    path = result.report(tmp_path / "report")
    assert path == tmp_path / "report" / "index.html" and path.is_file()


def test_a_row_or_seed_that_there_is_not_is_one_clear_error(result):
    with pytest.raises(UserError, match="unknown method of study quickstart 'lra'. Did you mean 'lora'"):
        result["lra"]
    assert "lora" in result and "lra" not in result
    with pytest.raises(UserError, match="lora has no finished run of seed 7; it has those of 0"):
        result["lora"].load(seed=7)
    with pytest.raises(UserError, match="expected a list of texts"):
        result["lora"].predict("one")


def test_its_models_run_code_of_their_own_only_if_that_is_trusted(result):
    for trusted in (False, True):
        given = replace(result, trusts_remote_code=trusted)
        assert given[next(iter(given))].trusts_remote_code == trusted
