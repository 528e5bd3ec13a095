"""The Python API: what `compare` takes, raises and leaves, and that the command line goes on with it."""

import doctest
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny import LABELS, reviews, splits_of

import hf_peft_compare
from hf_peft_compare import UserError, classification, compare, load, make_study
from hf_peft_compare.cli.main import main
from hf_peft_compare.config.loading import STUDIES_FOLDER, load_study

EXAMPLES = Path(__file__).parents[1] / "examples"
SETTINGS = {"max_length": 96, "costs": False}


def tables():
    return splits_of(reviews, train=32, validation=8, test=8)


def arguments(base, **keys):
    task = classification(labels=LABELS)
    given = {"model": base, "dataset": tables(), "task": task, "methods": ["majority"], "settings": SETTINGS}
    return {**given, "training": {"num_train_epochs": 1}, "output_dir": "runs/reviews", **keys}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def compared(tiny_bert, tmp_path_factory):
    """The result of two rows and two seeds on the tiny BERT."""
    folder = tmp_path_factory.mktemp("compared") / "reviews"
    return compare(**arguments(str(tiny_bert), methods=["majority", "last_layers"], seeds=2, output_dir=folder))


@pytest.mark.slow
def test_a_first_call_runs_all_and_a_second_one_nothing(compared, tiny_bert):
    assert set(compared.outcomes.values()) == {"finished"} and len(compared.outcomes) == 4
    again = compare(
        **arguments(str(tiny_bert), methods=["majority", "last_layers"], seeds=2, output_dir=compared.folder)
    )
    assert set(again.outcomes.values()) == {"skipped"}
    assert again.verdict == compared.verdict


@pytest.mark.slow
def test_the_command_line_goes_on_with_a_call_and_the_other_way_round(compared, tiny_bert, capsys):
    file, output_dir = str(compared.folder / "study.yaml"), str(compared.folder.parent)
    assert main(["run", file, "--output-dir", output_dir]) == 0
    assert capsys.readouterr().out.count("finished before, unchanged") == 4
    assert main(["run", file, "--output-dir", "runs", "--method", "majority"]) == 0
    given = arguments(str(tiny_bert), methods=["majority"], seeds=2, output_dir="runs/reviews")
    found = yaml.safe_load(Path("runs/reviews/study.yaml").read_text())
    result = compare(**{**given, "dataset": found["dataset"]})
    assert set(result.outcomes.values()) == {"skipped"}
    assert main(["choose", "runs/reviews"]) == 0 and "Recommended: " in capsys.readouterr().out


def test_a_folder_without_a_study_file_is_read_from_its_records(compared, tmp_path):
    for record in compared.folder.glob("*/record.json"):
        (tmp_path / "bare" / record.parent.name).mkdir(parents=True)
        (tmp_path / "bare" / record.parent.name / "record.json").write_text(record.read_text())
    found = load(tmp_path / "bare")
    assert set(found) == set(compared) and found.study.seeds == [0, 1] and found.study.name == "reviews"


def test_a_folder_without_records_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="no records in .*expected the folder of a study"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"seeds": 0}, "seeds is 0; expected their number"),
        ({"seeds": True}, "seeds is True"),
        ({"methods": "lora"}, "methods is 'lora'; expected a list"),
        ({"methods": ["loraa"]}, "unknown method 'loraa'. Did you mean 'lora'"),
        ({"methods": ["lora", "lora"]}, "two method rows are named 'lora'"),
        ({"methods": [3]}, "methods has 3; expected a method's name"),
        ({"dataset": [1, 2]}, "dataset is a list; expected a DatasetDict"),
        ({"dataset": []}, "dataset has no rows"),
        ({"dataset": [{"text": object()}]}, "dataset cannot be saved as a table"),
        ({"model": object()}, "model is object; expected a hub id"),
        ({"task": "classify"}, "unknown task 'classify'"),
        ({"output_dir": ".."}, "output_dir is '..'; expected the folder of a study"),
        ({"training": {"learning_rat": 1}}, "Did you mean 'training.learning_rate'"),
        ({"settings": {"plugins": ["no_such_module_of_mine"]}}, "the study needs plugin no_such_module_of_mine"),
        ({"settings": {"plugins": "mine"}}, "plugins is 'mine'; expected a list of modules"),
    ],
)
def test_bad_input_is_one_clear_error(keys, words, tiny_bert):
    with pytest.raises(UserError) as raised:
        make_study(**arguments(str(tiny_bert), **keys))
    assert words in str(raised.value)


def test_bad_input_that_the_check_finds_is_the_same_error_as_on_the_command_line(tiny_bert, capsys):
    given = arguments(str(tiny_bert), task=classification(text="message", labels=LABELS))
    with pytest.raises(UserError) as raised:
        compare(**given)
    Path("study.yaml").write_text(make_study(**given).to_yaml())
    assert main(["run", "study.yaml"]) == 2
    assert str(raised.value) in capsys.readouterr().err and "no column 'message'" in str(raised.value)


@pytest.mark.parametrize("name", [path.stem for path in STUDIES_FOLDER.glob("*.yaml")])
def test_a_study_and_its_yaml_resolve_to_the_same_runs(name, tmp_path):
    overrides = ["training.num_train_epochs=1", "training.learning_rate=1e-4", "max_length=64", "seeds=[3]"]
    for given in ([], overrides):
        study = load_study(name, given)
        (tmp_path / "study.yaml").write_text(study.to_yaml())
        again = load_study(tmp_path / "study.yaml")
        assert [run for run, _ in again.resolve_all()] == [run for run, _ in study.resolve_all()]


def test_importing_the_package_imports_no_torch_and_lists_all():
    code = "import sys, hf_peft_compare as h; h.compare, h.classification, h.Result; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert {"compare", "plan", "doctor", "load", "Study", "classification"} <= set(dir(hf_peft_compare))
    for name in hf_peft_compare.__all__:
        assert getattr(hf_peft_compare, name).__doc__, name


@pytest.mark.parametrize("module", ["api", "config.study", "inputs.tasks"])
def test_examples_of_docstrings_run(module, compared, tmp_path):
    names = {name: getattr(hf_peft_compare, name) for name in hf_peft_compare.__all__}
    names |= {"folder": tmp_path, "result": compared}
    found = importlib.import_module(f"hf_peft_compare.{module}")
    results = doctest.testmod(found, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.attempted and not results.failed


def run_script(text, **keys):
    Path("script.py").write_text(text)
    return subprocess.Popen(
        [sys.executable, "script.py"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keys
    )


SCRIPT = """
from hf_peft_compare import classification, compare
from hf_peft_compare.methods.majority import Majority
print("begun")
class Mine(Majority):
    name = "mine"
    title = "Mine"
settings = {{"max_length": 256, "costs": False}}
settings |= {{"num_train_samples": {n}, "num_validation_samples": 8, "num_test_samples": 8}}
result = compare("embedded", "embedded", classification(labels=["gain", "loss", "neither"]), [{methods}],
    seeds=1, tune=None, output_dir="runs/outcomes", settings=settings, training={{"num_train_epochs": {epochs}}})
print(result.outcomes)
"""


@pytest.mark.slow
def test_a_script_needs_no_guard_and_may_define_a_method():
    process = run_script(SCRIPT.format(n=16, epochs=1, methods="Mine"))
    output, errors = process.communicate(timeout=300)
    assert output.count("begun") == 1 and "{'mine-seed0': 'finished'}" in output, errors
    (plugin,) = Path("runs/outcomes/inputs").glob("mine-*.pkl")
    with pytest.raises(UserError, match=f"needs plugin {plugin}, which runs its own code"):
        load("runs/outcomes")  # to read a study runs nothing that it brings along
    assert main(["run", "runs/outcomes/study.yaml"]) == 2
    assert main(["run", "runs/outcomes/study.yaml", "--plugin", str(plugin)]) == 0
    assert load("runs/outcomes")["mine"].predict(["a story"])[0] in ("gain", "loss", "neither")
    again, _ = run_script(SCRIPT.format(n=16, epochs=1, methods="Mine()")).communicate(timeout=300)
    assert "{'mine-seed0': 'skipped'}" in again


@pytest.mark.slow
def test_an_interrupt_stops_cleanly_and_the_next_call_goes_on():
    free = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    script = SCRIPT.format(n=240, epochs=3, methods='"full"')
    process = run_script(script, **free)
    progress = Path("runs/outcomes/full-seed0/progress.json")
    deadline = time.monotonic() + 200
    while not (progress.exists() and json.loads(progress.read_text())["step"] > 40):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and "UserError" not in errors
    assert not (progress.parent / "record.json").exists()
    assert list((progress.parent / "checkpoints").iterdir())
    output, errors = run_script(script).communicate(timeout=300)
    assert "{'full-seed0': 'finished'}" in output, errors


@pytest.mark.slow
def test_the_script_of_the_examples_runs():
    done = subprocess.run([sys.executable, EXAMPLES / "compare_from_python.py"], capture_output=True, text=True)
    assert done.returncode == 0 and "LoRA" in done.stdout and "report: runs/tickets/report/index.html" in done.stdout, (
        done
    )


@pytest.mark.slow
def test_the_notebook_of_the_examples_runs():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", 4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "<svg" in shown and "<script" not in shown and "Commonest class" in shown
    assert "✓ Accuracy" in shown and "seed 1" in shown
    assert not [output for output in outputs if output.get("name") == "stderr" and "Saving" in output["text"]]
