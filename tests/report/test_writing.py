"""A report contains all of its records, is the same every time, and needs no torch."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pages import read_table, without_scripts
from synthetic import TITLES, Study, make_record, make_study_runs

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.parts import Throughput
from hf_peft_compare.records.record import read_records
from hf_peft_compare.report import sections, write_report
from hf_peft_compare.report.writing import gather, key_facts, render_sections

OUTPUTS = {"index.html", "README.md", "tables.tex", "report.tex", "results.csv", "results.json", "figures", "records"}
FIGURES = {"differences", "loss_curves", "quality_parameters", "quality_time", "quality_memory"}


def text_of(folder: Path, name: str = "index.html") -> str:
    return (folder / name).read_text(encoding="utf-8")


def test_every_output_exists_and_no_temporary_file_is_left(full: Path) -> None:
    assert {path.name for path in full.iterdir()} == OUTPUTS
    assert {path.name for path in (full / "figures").iterdir()} == {
        f"{name}.{kind}" for name in FIGURES for kind in ("svg", "pdf")
    }


def test_main_table_shows_the_records_numbers(full: Path) -> None:
    rows = read_table(text_of(full), "comparison")
    assert list(rows) == list(TITLES.values())
    for row in ("prompt_tuning", "last_layers", "lora", "full"):
        record = make_record(row)
        assert record.parameters is not None
        expected = [f"{record.results[f'rouge{kind}_fmeasure']:.3f}" for kind in ("L", "1", "2")]
        expected += [f"{record.results['entity_recall']:.3f}", f"{record.results['test_loss']:.3f}"]
        assert rows[TITLES[row]][:5] == expected
        assert rows[TITLES[row]][5].startswith(f"{record.parameters.trainable_params:,}")
        assert rows[TITLES[row]][6] == f"{record.parameters.total_params:,}"
        assert rows[TITLES[row]][8] == f"{record.memory.train_peak_allocated_bytes / 1e6:,.0f}"  # type: ignore[operator]


def test_best_value_of_each_column_is_marked_once(full: Path) -> None:
    table = text_of(full).split('id="table-comparison"')[1].split("</table>")[0]
    assert table.count(" best") == 7  # five scores, time, memory; parameters have no better end


def test_reference_values_stand_beside_ours_with_their_differences(full: Path) -> None:
    for name in ("index.html", "README.md", "tables.tex"):
        page = text_of(full, name)
        assert "ref. 0.186" in page and "ref. 10,393" in page
        assert "course report" in page and "teacher" in page


def test_csv_has_one_line_per_run_in_raw_units(full: Path) -> None:
    with (full / "results.csv").open(encoding="utf-8") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert list(lines) == list(TITLES)
    record = make_record("lora")
    assert float(lines["lora"]["rougeL_fmeasure"]) == record.results["rougeL_fmeasure"]
    assert int(lines["lora"]["train_peak_allocated_bytes"]) == record.memory.train_peak_allocated_bytes
    assert float(lines["lora"]["train_seconds"]) == record.seconds.train
    assert lines["lead"]["trainable_params"] == "" and lines["lead"]["test_loss"] == ""


def test_settings_show_who_set_them_and_common_ones_once(full: Path) -> None:
    differing, common = (read_table(text_of(full), name) for name in ("settings", "common-settings"))
    assert differing["training.learning_rate"][list(TITLES).index("prompt_tuning")] == "0.3"
    assert "training.learning_rate" not in common
    assert common["max_length"] == ["512", "study"]


def test_examples_show_every_rows_answer(full: Path) -> None:
    article = text_of(full).split('<article class="example">')[1]
    for title in TITLES.values():
        assert f"{title} says: the council met" in article
    assert "<details>" in article and "Reference" in article


def test_half_done_study_marks_what_is_missing_and_what_failed(half: Path) -> None:
    page = text_of(half)
    rows = read_table(page, "comparison")
    assert set(rows["LoRA"]) == set(rows["full"]) == set(rows["zero_shot"]) == {"–"}
    assert page.count("<small>not run yet</small>") >= 2
    assert "failed: RuntimeError: boom &lt;&amp;&gt;" in page
    assert "Not run yet: zero_shot-seed0, full-seed0." in page


def test_without_cuda_memory_is_resident_and_says_so(half: Path) -> None:
    page = text_of(half)
    assert "no CUDA device" in page and "Peak GPU memory" not in page
    assert read_table(page, "comparison")["Prompt tuning"][-1] == "1,620"


def test_a_study_without_any_run_has_a_report(tmp_path: Path) -> None:
    page = write_report(Study(), {}, {}, tmp_path).read_text(encoding="utf-8")
    assert page.count("<small>not run yet</small>") == len(TITLES)
    assert "nothing to compare" in page


def test_several_seeds_show_their_spread() -> None:
    study = Study(seeds=[0, 1], methods={"lora": {}})
    material = gather(study, *make_study_runs(rows=("lora",), seeds=(0, 1)))  # type: ignore[arg-type]
    blocks = {section.name: blocks for section, blocks in render_sections(material)}
    cell = blocks["comparison"][0].rows[0][1]  # type: ignore[union-attr]
    assert any(detail.startswith("± ") for detail in cell.details)


def test_energy_is_a_column_of_every_output_and_says_what_is_estimated(tmp_path: Path) -> None:
    records, predictions = make_study_runs(rows=("lora", "full"))
    energies = {"lora-seed0": (9000.0, 9000.0), "full-seed0": (18_000.0, 3600.0)}
    for run, (joules, estimated) in energies.items():
        found = {"train_energy_joules": joules, "estimated_energy_joules": estimated}
        records[run] = replace(records[run], throughput=Throughput(**found))
    study = Study(methods={"lora": {}, "full": {}})
    write_report(study, records, predictions, tmp_path)
    for name in ("index.html", "README.md"):
        page = text_of(tmp_path, name)
        assert "Energy (Wh, partly estimated)" in page and "Estimated, without a meter, it says little more" in page
        assert "100 % estimated" in page and "20 % estimated" in page
    assert [cells[8] for cells in read_table(text_of(tmp_path), "comparison").values()] == ["2.5", "5"]
    (first, _) = csv.DictReader(text_of(tmp_path, "results.csv").splitlines())
    (row, _) = json.loads(text_of(tmp_path, "results.json"))["rows"]
    for figures in (first, row["figures"]):
        assert [float(figures[key]) for key in ("train_energy_joules", "estimated_energy_joules")] == [9000, 9000]


def test_records_of_an_earlier_report_go_and_others_stay(tmp_path: Path) -> None:
    records, predictions = make_study_runs(rows=("lora", "full"), seeds=(0,))
    study, folder = Study(seeds=[0], methods={"lora": {}, "full": {}}), tmp_path / "records"
    write_report(study, records, predictions, tmp_path)
    (folder / "theirs-seed0").mkdir()
    (folder / "theirs-seed0" / "record.json").write_text("{}")
    (folder / "full-seed0" / "notes.txt").write_text("kept")
    write_report(study, {"lora-seed0": records["lora-seed0"]}, predictions, tmp_path)
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    mine = {"lora-seed0/record.json", "lora-seed0/predictions.jsonl"}
    assert kept == mine | {"theirs-seed0/record.json", "full-seed0/notes.txt"}


@pytest.mark.parametrize("results", ["", "[]", '{"rows": [{"row": "../../x"}]}'])
def test_a_record_that_no_report_wrote_is_not_overwritten(results: str, tmp_path: Path) -> None:
    records, predictions = make_study_runs(rows=("lora",), seeds=(0,))
    theirs = tmp_path / "records" / "lora-seed0" / "record.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    (tmp_path / "results.json").write_text(results)
    with pytest.raises(UserError, match="was not written by a report.*--to"):
        write_report(Study(seeds=[0], methods={"lora": {}}), records, predictions, tmp_path)
    assert theirs.read_text() == "theirs" and not (tmp_path / "index.html").exists()


def test_another_process_rebuilds_the_same_bytes_without_torch(full: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from synthetic import REFERENCES, Study\n"
        "from hf_peft_compare.records.record import read_predictions, read_records\n"
        "from hf_peft_compare.report import write_report\n"
        "records = read_records(Path(sys.argv[1]))\n"
        "predictions = {run: list(read_predictions(Path(sys.argv[1]) / run)) for run in records}\n"
        "write_report(Study(references=REFERENCES), records, predictions, Path(sys.argv[2]))\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'matplotlib') if name in sys.modules])"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", code, str(full / "records"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    assert digest(tmp_path) == digest(full)


def test_page_holds_everything_it_needs(full: Path) -> None:
    page = without_scripts(text_of(full))
    assert page.count("<svg") == len(FIGURES) and "<math" in page
    for needle in ("<script", "<link", "<img", "<iframe", "@import", "url(http", 'src="'):
        assert needle not in page
    assert "default-src 'none'" in page


def test_inline_charts_take_the_pages_colors_and_files_are_dark_on_white(full: Path) -> None:
    page = without_scripts(text_of(full))
    assert "currentColor" in page and "#0a0b0c" not in page
    drawing = (full / "figures" / "loss_curves.svg").read_text(encoding="utf-8")
    assert "#ffffff" in drawing and "#0a0b0c" not in drawing


def test_all_ids_of_the_page_are_different(full: Path) -> None:
    ids = re.findall(r'\bid="([^"]+)"', without_scripts(text_of(full)))
    assert len(ids) == len(set(ids))


def test_markdown_points_to_figures_that_exist(full: Path) -> None:
    names = re.findall(r"\]\((figures/[^)]+)\)", text_of(full, "README.md"))
    assert len(names) == len(FIGURES) and all((full / name).is_file() for name in names)


def test_markdown_tables_have_the_same_cells_in_every_line(hostile: Path) -> None:
    tables = re.split(r"\n(?!\|)", text_of(hostile, "README.md"))
    for table in (table for table in tables if table.startswith("|")):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1


def test_copied_records_equal_the_originals(full: Path) -> None:
    assert read_records(full / "records")["lora-seed0"] == make_record("lora")
    assert json.loads(text_of(full, "records/lead-seed0/predictions.jsonl").splitlines()[0])["nll"] is None


def digest(folder: Path) -> dict[str, str]:
    """Hash every file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["index.html", "README.md", "report.tex"])
def test_every_section_is_in_every_page(full: Path, name: str) -> None:
    for title in (
        "Verdict",
        "Analysis",
        "Pairwise comparison",
        "Pareto front",
        "Learning",
        "Quality against cost",
        "Examples",
        "Hyper-parameters",
        "Methods",
        "Provenance",
    ):
        assert title in text_of(full, name)


def test_a_new_section_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greeting.py").write_text(
        "from hf_peft_compare.report.blocks import Paragraph, Section\n"
        "SECTION = Section(name='greeting', title='Greeting', order=1, render=lambda m: [Paragraph(text='Hello')])\n"
    )
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    monkeypatch.delitem(vars(sections.SECTIONS), "_found", raising=False)
    try:
        rendered = render_sections(gather(Study(), {}, {}))  # type: ignore[arg-type]
    finally:
        vars(sections.SECTIONS).pop("_found", None)
        sys.modules.pop("hf_peft_compare.report.sections.greeting", None)
    assert rendered[0][0].name == "greeting"


def test_the_head_names_every_base_and_every_size_that_rows_have() -> None:
    records, predictions = make_study_runs(rows=("lora", "full"))
    records["full-seed0"].config.update(num_train_samples=50, model_name_or_path="other")
    study = Study(methods={"lora": {}, "full": {}})
    facts = dict(key_facts(gather(study, records, predictions)))  # type: ignore[arg-type]
    assert facts["Model"] == "gpt2, other"
    assert facts["Train / validation / test"] == "50 or 21,000 / 6,000 / 3,000"
