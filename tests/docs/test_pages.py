"""What pages say: links lead somewhere, code is code of this version, named tests exist, figures are the reports'."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator

import pytest
import yaml
from docs_pages import PAGES, ROOT, blocks

import hf_peft_compare
from hf_peft_compare import Study, load_study
from hf_peft_compare.cli.main import make_parser
from hf_peft_compare.config.yaml_text import read_yaml_text
from hf_peft_compare.orchestration.executors import LOCAL, check_executor
from tools.docs.links import links

MOST_LINES_OF_README = 150
PARTS = {"title", "task", "dataset", "model_name_or_path", "methods"}  # of a study that is whole
BASE = {"task": "summarization", "dataset": "embedded", "model_name_or_path": "embedded", "methods": ["lora"]}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_to_a_file(page: str) -> None:
    assert [path for path, _ in links(page, PAGES[page]) if not (ROOT / path).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= MOST_LINES_OF_README


@pytest.mark.parametrize("page", PAGES)
def test_named_tests_exist(page: str) -> None:
    for file, name in re.findall(r"`(tests/(?![\w/]*NAME)[\w/]+\.py)(?:::(\w+))?`", PAGES[page]):
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_every_trap_of_the_fairness_page_names_the_test_that_holds_it() -> None:
    rows = re.findall(r"^\| (?!trap|---).*\|$", PAGES["docs/explanation/fairness.md"], re.MULTILINE)
    assert rows and all(re.search(r"\| `tests/\S+::\w+` \|$", row) for row in rows)


@pytest.mark.parametrize(("page", "code"), blocks("yaml"))
def test_yaml_is_a_study_a_part_of_one_or_options_of_executors(page: str, code: str) -> None:
    tree = read_yaml_text(code)
    assert isinstance(tree, dict)
    if tree.keys() <= {"slurm", "ray", "command"}:
        for name, options in tree.items():
            check_executor(name, options)
        return
    study = Study.from_dict({"name": "study", "title": "A study", **BASE, **tree})
    for config, _ in study.resolve_all():
        assert config.method_settings and config.task_settings


def test_the_first_study_of_ones_own_is_whole() -> None:
    whole = [code for page, code in blocks("yaml") if page == "docs/tutorials/own-data.md" and "title:" in code]
    assert len(whole) == 2 and all(yaml.safe_load(code).keys() >= PARTS for code in whole)


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_compiles_and_imports_what_there_is(page: str, code: str) -> None:
    included = code.startswith("--8<--\n")
    for node in ast.walk(ast.parse((ROOT / code.split("\n")[1]).read_text(encoding="utf-8") if included else code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hf_peft_compare"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def commands(code: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of this package's command in a block of shell lines."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in line.split(" && "):
            words = shlex.split(part, comments=True)
            if words[:1] == ["hf-peft-compare"]:
                yield words[1:]
            elif words[:2] == ["bash", "run_all.sh"]:
                yield ["run", *(words[2:] or ["quickstart"])]
            elif words[:2] == ["accelerate", "launch"]:
                yield words[words.index("hf_peft_compare") + 1 :]


@pytest.mark.parametrize(("page", "code"), blocks("bash"))
def test_commands_have_the_arguments_that_are_written(page: str, code: str) -> None:
    for words in commands(code):
        options = make_parser().parse_args(words)
        if getattr(options, "executor", LOCAL) != LOCAL:
            check_executor(options.executor, dict(options.executor_option))


def test_a_command_that_is_wrong_is_found() -> None:
    (words,) = commands("hf-peft-compare run STUDY \\\n    --executer slurm  # in the queue")
    with pytest.raises(SystemExit):
        make_parser().parse_args(words)


def test_the_table_of_the_quickstart_is_its_reports() -> None:
    results = json.loads((ROOT / "reports" / "quickstart" / "results.json").read_text(encoding="utf-8"))
    section = PAGES["README.md"].partition("[start:quickstart]")[2].partition("[end:quickstart]")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if "<sub>" in line]
    for cells, row in zip(lines, results["rows"], strict=True):
        figures, interval = row["figures"], row["intervals"]["rougeL_fmeasure"]
        score = f"{figures['rougeL_fmeasure']:.3f} <sub>{interval['low']:.3f} to {interval['high']:.3f}</sub>"
        assert cells[1] == score.replace("0.", ".")
        assert cells[2] == f"{figures['entity_recall']:.3f}".lstrip("0")
        assert cells[3] in ("–", f"{figures.get('test_loss', 0):.2f}".removeprefix("0"))
        assert cells[4] == f"{figures.get('trainable_params', 0):,.0f}"
        assert cells[5] in ("–", f"{figures.get('train_seconds', 0):.0f} s")


FROM_NO_RECORD = {".448", ".636"}  # runs at other rates, of which the report has none


def test_figures_of_the_results_page_are_their_reports() -> None:
    for name, text in re.findall(r"^\*\*\[`([\w-]+)`\](.*?)\n\n", PAGES["docs/results.md"], re.MULTILINE | re.DOTALL):
        results = json.loads((ROOT / "reports" / name / "results.json").read_text(encoding="utf-8"))
        means = {f"{row['figures'][results['ranking_score']]:.3f}" for row in results["rows"]}
        assert set(re.findall(r"(?<!\d)\.\d{3}\b", text)) - FROM_NO_RECORD <= {mean.lstrip("0") for mean in means}, name


def test_the_readme_states_no_result_that_the_results_page_has_not() -> None:
    text = PAGES["README.md"].partition("## On models you know")[2].partition("## ")[0]
    figures = re.findall(r"(?<!\d)\.\d{3}\b", text)
    assert len(figures) > 10 and all(figure in PAGES["docs/results.md"] for figure in figures)


def test_the_python_page_has_all_that_the_package_exports() -> None:
    page = PAGES["docs/reference/python.md"]
    assert [name for name in hf_peft_compare.__all__ if not re.search(rf"\b{name}\b", page)] == []


def test_the_file_map_has_every_folder_of_the_package() -> None:
    page = PAGES["docs/explanation/architecture.md"]
    folders = [path for path in (ROOT / "hf_peft_compare").iterdir() if path.is_dir() and path.name[0] not in "_."]
    assert [path.name for path in folders if not re.search(rf"^  (\S+  )*{path.name}/", page, re.MULTILINE)] == []


def test_studies_that_pages_name_in_commands_exist() -> None:
    named = {
        words[1] for _, code in blocks("bash") for words in commands(code) if words[0] in ("run", "plan", "doctor")
    }
    built_in = {name for name in named if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+|quickstart", name)}
    assert len(built_in) >= 3 and all(load_study(name) for name in built_in)


def test_the_version_is_the_same_everywhere() -> None:
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    (latest, *_) = re.findall(r"^## \[(\d[\d.]+)\] - \d{4}-\d\d-\d\d$", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert cited is not None and cited[1] == latest == hf_peft_compare.__version__
