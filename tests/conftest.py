"""Fixtures of all tests: tiny real models and data, made here, so that every test runs offline and in seconds."""

import atexit
import gc
import os
import shutil
import sys
import tempfile

# Read when their libraries are imported, hence before anything else; torch itself is imported by the fixtures only.
os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="hf_peft_compare_tests_")
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

from collections import Counter  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import yaml  # noqa: E402
from browsers import browser  # noqa: E402, F401 - a fixture
from visual import asking, rooms, seen, tiny_clip, tiny_resnet  # noqa: E402, F401 - fixtures

from hf_peft_compare.core.registry import PLUGINS_VARIABLE, REGISTRIES  # noqa: E402

# A test's fixtures or its folder determine its tier.
MARKS_OF_FIXTURES = {
    "train": "slow",
    "start": "slow",
    "measuring": "slow",
    "no_wandb_account": "slow",
    "browser": "browser",
    "pdflatex": "latex",
    "test_data": "real_data",
    "smollm2": "real_data",
    "minilm": "real_data",
}
SLOW_FOLDERS = ("benchmarks", "diagnostics", "end_to_end", "invariant", "tools")
# Files with the longest tests: begun last, one of them would run alone while other processes have nothing left to do.
LONGEST = (
    "end_to_end/test_kill.py",
    "orchestration/executors/test_slurm.py",
    "end_to_end/test_two_processes.py",
    "end_to_end/test_plugins.py",
    "orchestration/executors/test_ray.py",
    "test_api.py",
)


def pytest_collection_modifyitems(items):
    """Mark tests by their fixtures and folders, and begin with the longest."""
    items.sort(key=lambda item: not str(item.path).endswith(LONGEST))
    for item in items:
        marks = {mark for fixture, mark in MARKS_OF_FIXTURES.items() if fixture in item.fixturenames}
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        for mark in marks | ({"slow"} if folder in SLOW_FOLDERS else set()):
            item.add_marker(mark)


def pytest_collection_finish():
    """Spare garbage collections from looking through all imports and tests."""
    _freeze()


def pytest_runtest_logfinish():
    """Spare them what a test has imported, too: without, they take half of the time of a tiny run that is trained."""
    if len(sys.modules) > _freeze.num_modules + 100:
        _freeze()


def _freeze():
    gc.collect()
    gc.freeze()
    _freeze.num_modules = len(sys.modules)


_freeze.num_modules = 0


def pytest_terminal_summary(terminalreporter):
    """Print in one line how many tests were skipped, and why."""
    skipped = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])]
    if skipped:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in Counter(skipped).most_common())
        terminalreporter.write_line(f"{len(skipped)} tests were skipped: {reasons}")


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch):
    """Disable Weights & Biases in every test, whatever the machine's settings."""
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    """Let files be written without waiting for the disk: a test's files need not outlast a power failure."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def without(monkeypatch):
    """`without(module)`: this module is not installed, for what imports it and for what only looks for it."""
    return lambda module: monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture(autouse=True)
def own_plugins(monkeypatch):
    """Forget after every test which plugins it has loaded and what it has registered."""
    monkeypatch.setenv(PLUGINS_VARIABLE, "")
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "registered", {})


@pytest.fixture
def no_wandb_account(no_wandb, monkeypatch, tmp_path):
    """A machine on which nobody has logged in to W&B; other files of wandb stay in the test's folder."""
    import wandb

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(home / name.lower()))
    wandb.teardown()  # it reads its environment once
    yield
    wandb.teardown()


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory):
    """A folder with a GPT-2 of two blocks, random weights, and a tokenizer without pad token."""
    from tiny import save_tiny_model

    return save_tiny_model("gpt2", tmp_path_factory.mktemp("tiny-gpt2"))


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """The same in Llama's architecture, whose tokenizer begins every text with a bos token."""
    from tiny import save_tiny_model

    return save_tiny_model("llama", tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory):
    """The same of an encoder-decoder, whose tokenizer ends every text with an eos token."""
    from tiny import save_tiny_model

    return save_tiny_model("t5", tmp_path_factory.mktemp("tiny-t5"))


@pytest.fixture(scope="session")
def tiny_bart(tmp_path_factory):
    """The same in BART's architecture, whose tokenizer begins every text with a bos token too."""
    from tiny import save_tiny_model

    return save_tiny_model("bart", tmp_path_factory.mktemp("tiny-bart"))


@pytest.fixture(params=["t5", "bart"])
def encoder_decoder(request):
    """The override that names one of these two."""
    return f"model_name_or_path={request.getfixturevalue(f'tiny_{request.param}')}"


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    """A folder with train.jsonl, validation.jsonl and test.jsonl of 40, 12 and 8 articles with highlights."""
    from tiny import splits_of, stories, write_splits

    return write_splits(tmp_path_factory.mktemp("tiny-dataset"), splits_of(stories, train=40, validation=12, test=8))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """A folder with a BERT of two blocks, random weights, no class head, and a tokenizer with its special tokens."""
    from tiny import save_tiny_encoder

    return save_tiny_encoder(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_reviews(tmp_path_factory):
    """A folder with train.jsonl, validation.jsonl and test.jsonl of 48, 12 and 12 texts of three classes."""
    from tiny import reviews, splits_of, write_splits

    return write_splits(tmp_path_factory.mktemp("tiny-reviews"), splits_of(reviews, train=48, validation=12, test=12))


@pytest.fixture
def classifying(tiny_reviews, tiny_bert):
    """Keys of a classification study for `tiny_study`, `build` and `train`: single texts, a BERT, every method."""
    from tiny import CLASSIFIERS, LABELS

    return {
        "task": {"name": "sequence_classification", "labels": LABELS},
        "dataset": str(tiny_reviews),
        "model_name_or_path": str(tiny_bert),
        "methods": CLASSIFIERS,
    }


@pytest.fixture
def tiny_study(tmp_path, tiny_gpt2, tiny_dataset):
    """`tiny_study("key=value", …, methods={…})`: a study of the tiny model and data, through a YAML file."""
    from tiny import METHODS

    from hf_peft_compare.config.layers import merge
    from hf_peft_compare.config.loading import load_study

    def make(*overrides, **keys):
        study = {
            "title": "Tiny",
            "task": "summarization",
            "dataset": str(tiny_dataset),
            "num_train_samples": 24,
            "num_validation_samples": 8,
            "num_test_samples": 6,
            "model_name_or_path": str(tiny_gpt2),
            "max_length": 96,
            "methods": keys.pop("methods", METHODS),
            "training": {"num_train_epochs": 2, "train_batch_size": 8, "eval_batch_size": 8, "logging_steps": 1},
            "generation": {"max_new_tokens": 8},
            "costs": False,
            "tune": None,
            "seeds": [0],
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(merge(study, keys), sort_keys=False))
        return load_study(str(path), overrides)

    return make


@pytest.fixture
def build(tiny_study, tmp_path):
    """`build(row, "key=value", …)`: tokenizer, model and arguments of one run of the tiny study, in evaluation mode."""
    from hf_peft_compare.training import factory

    def make(row, *overrides, seed=0, **keys):
        config, _ = tiny_study(*overrides, **keys).resolve(row=row, seed=seed)
        built = factory.build(config, output_dir=tmp_path / "built")
        built.model.eval()
        return built

    return make


@pytest.fixture
def train(tiny_study, tmp_path):
    """`train(row, "key=value", …, folder="run")`: the record of one run of the tiny study, left in tmp_path/folder."""
    from hf_peft_compare.training.run import train_run

    def run(row, *overrides, folder=None, seed=0, **keys):
        config, origins = tiny_study(*overrides, **keys).resolve(row=row, seed=seed)
        return train_run(config, origins, folder=tmp_path / (folder or config.run))

    return run


@pytest.fixture(scope="session")
def comparison():
    """A finished study of two floors and four trained rows, made up."""
    from synthetic import make_comparison

    return make_comparison()


@pytest.fixture
def interrupt_at(monkeypatch):
    """`interrupt_at(n)`: the n-th micro-batch from now is interrupted; returns the step of every one that starts."""

    from hf_peft_compare.training.trainer import ComparisonTrainer

    def arrange(number):
        steps, original = [], ComparisonTrainer.training_step

        def step(self, *args, **kwargs):
            steps.append(self.state.global_step)
            if len(steps) == number:
                raise KeyboardInterrupt
            return original(self, *args, **kwargs)

        monkeypatch.setattr(ComparisonTrainer, "training_step", step)
        return steps

    return arrange


@pytest.fixture(scope="session")
def test_data():
    """The folder with small real checkpoints and data; tests that need it are skipped if it is not configured."""
    folder = os.environ.get("HF_PEFT_COMPARE_TEST_DATA")
    if not folder:
        pytest.skip("HF_PEFT_COMPARE_TEST_DATA is not set: no folder with real checkpoints and data")
    return Path(folder)
