"""Pickles run code when they are read: one planted wherever a file is loaded does not run, and is one error."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from finished_runs import make_config, make_run, save_base

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.models.loading import check_weights, load_base, load_tokenizer
from hf_peft_compare.records.run_folder import CHECKPOINT_MARKER
from hf_peft_compare.training import hidden_state_cache
from hf_peft_compare.training.callbacks import checkpoints


class Bomb:
    """Creates a folder once it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def plant(tmp_path):
    """`plant(path, how)`: write a pickle that runs code, as `pickle` or as `torch.save` does; it must not run."""
    mark = tmp_path / "code_ran"

    def write(path, how=torch.save):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            how({"weight": Bomb(mark)}, file) if how is torch.save else file.write(pickle.dumps(Bomb(mark)))

    yield write
    assert not mark.exists()


def test_the_bomb_works(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("how", [torch.save, pickle.dump])
def test_weights_of_a_base(how, plant, tiny_study, tiny_gpt2, tmp_path):
    folder = tmp_path / "stranger"
    shutil.copytree(tiny_gpt2, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    plant(folder / "pytorch_model.bin", how)
    config = tiny_study(f"model_name_or_path={folder}").config
    for load in (check_weights, load_base):
        with pytest.raises(UserError, match="pytorch_model.bin is a pickle that is damaged or holds more than tensors"):
            load(config)


def test_weights_that_are_a_pickle_of_tensors_are_read(tiny_study, tiny_gpt2, tmp_path):
    shutil.copytree(tiny_gpt2, tmp_path / "old", ignore=shutil.ignore_patterns("*.safetensors"))
    study = tiny_study(f"model_name_or_path={tmp_path / 'old'}")
    saved = load_base(tiny_study().config).state_dict()
    torch.save(saved, tmp_path / "old" / "pytorch_model.bin")
    check_weights(study.config)
    assert torch.equal(load_base(study.config).transformer.wte.weight, saved["transformer.wte.weight"])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("row", "file"), [("lora", "adapter_model"), ("soft", "adapter_model"), ("full", "pytorch_model")]
)
def test_trained_parameters_of_a_run(row, file, plant, base, tmp_path):
    make_run(tmp_path / "run", make_config(base, row))
    for path in (tmp_path / "run" / "model").glob("*.safetensors"):
        path.unlink()
    plant(tmp_path / "run" / "model" / f"{file}.bin")
    with pytest.raises(UserError, match=f"{file}.bin is a pickle|no adapter_model.safetensors"):
        load_run(tmp_path / "run")


def test_checkpoints_that_a_run_goes_on_from(plant, train, interrupt_at, tmp_path):
    interrupt_at(5)  # after the first of two epochs of three steps
    with pytest.raises(KeyboardInterrupt):
        train("lora", folder="run")
    (checkpoint,) = (tmp_path / "run/checkpoints").glob("checkpoint-*")
    names = {path.name for path in checkpoint.iterdir()}
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth"} <= names
    for name in sorted(names):
        if name.endswith((".pt", ".pth", ".bin")):
            content = (checkpoint / name).read_bytes()
            plant(checkpoint / name)
            mark(checkpoint)
            if name != "training_args.bin":  # which nobody reads
                with pytest.raises(RunFailed, match="Weights only load failed"):
                    train("lora", folder="run")
            (checkpoint / name).write_bytes(content)


def mark(checkpoint):
    """Mark a checkpoint as whole, as whoever made it would."""
    (checkpoint / CHECKPOINT_MARKER).write_text(checkpoints._hash(checkpoint))


def test_caches_of_tokens_and_of_hidden_states(plant, tiny_study, tmp_path):
    config, _ = tiny_study().resolve(row="lora", seed=0)
    examples, tokenizer = load_examples(config), load_tokenizer(config)
    tokenize_splits(config, examples, tokenizer, cache=tmp_path / "tokens")
    for path in [path for path in (tmp_path / "tokens").rglob("*") if path.is_file()]:
        plant(path, pickle.dump)
    tokenize_splits(config, examples, tokenizer, cache=tmp_path / "tokens")
    for name in (hidden_state_cache.META_FILE, hidden_state_cache.STATES_FILE):
        plant(tmp_path / "states" / name, pickle.dump)
    assert not hidden_state_cache.is_whole(tmp_path / "states")


def test_methods_that_a_study_names(plant, tiny_study, tmp_path):
    plant(tmp_path / "method.pkl", pickle.dump)
    with pytest.raises(UserError, match="needs plugin .*method.pkl, which runs its own code"):
        tiny_study(plugins=[str(tmp_path / "method.pkl")])


def test_files_of_a_dataset(plant, tiny_study, tiny_dataset, tmp_path):
    folder = tmp_path / "data"
    plant(folder / "train.pkl", pickle.dump)
    plant(folder / "train.pt")
    script = f"import os\nos.mkdir({str(tmp_path / 'code_ran')!r})\n"
    (folder / "data.py").write_text(script)
    with pytest.raises(UserError, match="Dataset scripts are no longer supported"):
        load_examples(tiny_study(f"dataset={folder}").config)
    (folder / "data.py").unlink()
    for path in Path(tiny_dataset).iterdir():
        shutil.copy(path, folder)
    assert load_examples(tiny_study(f"dataset={folder}").config)


def test_files_beside_a_study(plant, tmp_path, tiny_study, monkeypatch):
    """Neither modules beside it nor settings of the shell are read."""
    monkeypatch.chdir(tmp_path)
    study = tiny_study()
    (tmp_path / "stranger.yaml").write_text(study.to_yaml())
    (tmp_path / ".env").write_text("HF_PEFT_COMPARE_TRUST_REMOTE_CODE=1\nHF_PEFT_COMPARE_PLUGINS=evil\n")
    (tmp_path / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'code_ran')!r})\n")
    load_study("stranger.yaml")
    assert "HF_PEFT_COMPARE_TRUST_REMOTE_CODE" not in os.environ


def test_a_yaml_that_makes_objects(tmp_path, plant):
    (tmp_path / "s.yaml").write_text(f"name: !!python/object/apply:os.mkdir [{tmp_path / 'code_ran'}]\n")
    with pytest.raises(UserError, match="cannot be read"):
        load_study(tmp_path / "s.yaml")
