"""What others add from outside: an installed package with entry points, and a module named by --plugin."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from hf_peft_compare.core.registry import PLUGINS_VARIABLE, REGISTRIES
from hf_peft_compare.records.record import read_records

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/add_a_method.py"
METRIC = """\
from hf_peft_compare import Metric, Score

class Brevity(Metric):
    name = "brevity"
    scores = [Score(name="brevity", title="Brevity", unit="ratio", greater_is_better=True)]

    def compute(self, predictions, references):
        return {"brevity": [1 / (1 + len(prediction)) for prediction in predictions]}
"""
TASK = """\
from hf_peft_compare.tasks.summarization import Summarization

class ShortSummaries(Summarization):
    name, metrics = "short_summaries", ("rouge", "brevity")
"""
SECTION = """\
from hf_peft_compare import Section
from hf_peft_compare.report.blocks import Paragraph

GREETING = Section(name="greeting", title="Greeting", order=2, render=lambda material: [Paragraph(text="Hello there")])
"""
ENTRY_POINTS = """\
[hf_peft_compare.methods]
bitfit = tiny_plugin.methods:BitFit
[hf_peft_compare.tasks]
short_summaries = tiny_plugin.tasks:ShortSummaries
[hf_peft_compare.metrics]
brevity = tiny_plugin.metrics:Brevity
[hf_peft_compare.sections]
greeting = tiny_plugin.sections:GREETING
"""


@pytest.fixture
def plugin_study(study_file):
    """`plugin_study(key=value, …)`: a tiny study of what only a plugin defines, which this process does not know."""

    def make(**changes):
        path = study_file()
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}, sort_keys=False))
        return path

    return make


@pytest.fixture
def fresh_command(command, monkeypatch):
    """The command in this process, which forgets before each call what plugins it has loaded, as a new one would."""
    for registry in REGISTRIES:
        assert "bitfit" not in registry.entries  # kept, once they are read
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        monkeypatch.setenv(PLUGINS_VARIABLE, "")
        for registry in REGISTRIES:
            monkeypatch.setattr(registry, "registered", {})
        sys.modules.pop("mine", None)
        return command(*arguments)

    yield run
    sys.modules.pop("mine", None)


def install(folder, entry_points):
    """Lay an installed package into a folder, as pip does."""
    package = folder / "tiny_plugin"
    package.mkdir(parents=True)
    shutil.copy(EXAMPLE, package / "methods.py")
    for name, text in {"__init__": "", "metrics": METRIC, "tasks": TASK, "sections": SECTION}.items():
        (package / f"{name}.py").write_text(text)
    info = folder / "tiny_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def test_an_installed_package_adds_a_method_a_task_a_metric_and_a_section(process, plugin_study, tmp_path):
    environment = install(tmp_path / "site", ENTRY_POINTS)
    study = plugin_study(methods={"bitfit": {}, "lora": {"r": 4}}, task="short_summaries")
    status, output, errors = process("run", study, env=environment)
    assert status == 0, errors
    assert "BitFit" in output
    records = read_records(tmp_path / "runs/tiny")
    assert set(records) == {"bitfit-seed0", "lora-seed0"}
    assert all(0 < record.results["brevity"] <= 1 for record in records.values())
    page = (tmp_path / "runs/tiny/report/index.html").read_text()
    assert "Brevity" in page and "Hello there" in page and "BitFit" in page
    status, output, errors = process("show", "brevity", env=environment)
    assert status == 0 and "Brevity [ratio]" in output, errors


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("tiny_plugin.absent:BitFit", "plugin bitfit = tiny_plugin.absent:BitFit (entry point of tiny-plugin) cannot"),
        ("tiny_plugin.metrics:Brevity", "method Brevity (plugin bitfit = tiny_plugin.metrics:Brevity) is not a Method"),
        ("tiny_plugin.methods:Method", "lacks attribute name, attribute title, attribute card"),
    ],
)
def test_an_entry_point_that_is_broken_is_named_with_the_reason(value, words, process, tmp_path):
    environment = install(tmp_path / "site", f"[hf_peft_compare.methods]\nbitfit = {value}\n")
    status, _, errors = process("list", "methods", env=environment)
    assert status == 2 and "Traceback" not in errors
    assert words in errors


def test_a_module_of_this_folder_works_in_every_command(fresh_command, process, plugin_study, tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "mine.py")
    study, plugin = plugin_study(methods={"bitfit": {}}), ("--plugin", "mine")
    for arguments in (
        ("show", "bitfit"),
        ("plan", study),
        ("doctor", study),
        ("run", study),
        ("report", study),
        ("choose", "tiny", "--mergeable"),
        ("predict", "tiny/bitfit-seed0", "--text", "A fox."),
        ("export", "tiny/bitfit-seed0", "exported", "--merge"),
    ):
        status, output, errors = fresh_command(*arguments, *plugin)
        assert status == 0, (arguments, output, errors)
    assert fresh_command("show", "bitfit")[0] == 2  # nothing is left of a call
    assert (tmp_path / "exported/model.safetensors").exists()
    status, _, errors = process("predict", "tiny/bitfit-seed0", "--text", "A fox.")
    assert status == 2 and "unknown method 'bitfit'" in errors and "load it with --plugin MODULE" in errors


def test_processes_of_accelerate_find_the_plugin(fresh_command, plugin_study, tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "mine.py")
    study = plugin_study(methods={"bitfit": {}})
    status, output, errors = fresh_command("run", study, "--num-processes", 2, "--plugin", "mine")
    assert status == 0, (output, errors)
    assert read_records(tmp_path / "runs/tiny")["bitfit-seed0"].finished


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "plugin mine cannot be imported: ModuleNotFoundError: No module named 'mine'. Expected a module in"),
        ("import absent_library", "No module named 'absent_library'. Fix the module."),
        ("1 / 0", "plugin mine cannot be imported: ZeroDivisionError: division by zero. Fix the module."),
        ("raise SystemExit(3)", "plugin mine cannot be imported: SystemExit: 3"),
        (
            "from hf_peft_compare import Method\nclass Half(Method):\n    name = 'half'\n    title = 'Half'",
            "method Half (plugin mine) lacks attribute card, attribute settings, method build, method load",
        ),
        (
            "from hf_peft_compare import Metric\nclass Nameless(Metric):\n    scores = ()",
            "metric Nameless (plugin mine) lacks attribute name",
        ),
    ],
)
def test_a_plugin_that_is_broken_is_named_with_the_reason(text, words, process, tmp_path):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    status, output, errors = process("run", "quickstart", "--plugin", "mine")
    assert status == 2 and "Traceback" not in errors
    assert words in errors
    assert not (tmp_path / "runs").exists()


def test_a_study_names_a_metric_of_an_installed_package_and_one_of_this_folder(process, plugin_study, tmp_path):
    environment = install(tmp_path / "site", "[hf_peft_compare.metrics]\nbrevity = tiny_plugin.metrics:Brevity\n")
    shutil.copy(ROOT / "examples/add_a_metric.py", tmp_path / "mine.py")
    columns = {"prompt_column": "article", "completion_column": "highlights"}
    metrics = ["brevity", {"brief_answer": {"max_words": 3}}]
    task = {"name": "instruction_tuning", **columns, "metrics": metrics}
    study = plugin_study(methods={"lora": {"r": 4}}, task=task, plugins=["mine"])
    status, output, errors = process("run", study, "--plugin", "mine", env=environment)
    assert status == 0, errors
    assert "Brevity" in output
    record = read_records(tmp_path / "runs/tiny")["lora-seed0"]
    assert [*record.scores] == ["brevity", "brief_answer", "test_loss"]
    status, _, errors = process("run", study, "--plugin", "mine")
    assert status == 2 and "unknown metric 'brevity'" in errors
