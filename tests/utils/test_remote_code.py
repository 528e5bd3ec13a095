"""Code that comes with a model: no study runs it, nothing asks, and what transformers has itself is loaded natively."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, dynamic_module_utils

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import load_base
from hf_peft_compare.records import provenance
from hf_peft_compare.utils.remote_code import load_auto, trusting, trusts_remote_code

PACKAGE = Path(__file__).parents[2] / "hf_peft_compare"
CODE = """
from pathlib import Path
from transformers import GPT2Config, GPT2LMHeadModel
Path({mark!r}).touch()
class Config(GPT2Config):
    model_type = {model_type!r}
class Model(GPT2LMHeadModel):
    config_class = Config
"""


@pytest.fixture
def with_code(tmp_path, tiny_gpt2, monkeypatch):
    """`with_code(model_type)`: a model folder with code, and the file that appears once the code runs."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("asked on the terminal"))

    def make(model_type):
        folder, mark = tmp_path / "stranger", tmp_path / "code_ran"
        shutil.copytree(tiny_gpt2, folder)
        config = json.loads((folder / "config.json").read_text())
        classes = {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"}
        (folder / "config.json").write_text(json.dumps({**config, "model_type": model_type, "auto_map": classes}))
        (folder / "theirs.py").write_text(CODE.format(mark=str(mark), model_type=model_type))
        return folder, mark

    return make


def test_a_class_of_its_own_is_refused_with_the_flag_that_allows_it(with_code, tiny_study):
    folder, mark = with_code("theirs")
    study = tiny_study(f"model_name_or_path={folder}", "architecture={trust_remote_code: true}")
    with pytest.raises(UserError, match=r"has a class of its own.*--trust-remote-code.*trust_remote_code=True"):
        load_architecture(study.config)
    assert not mark.exists()


@pytest.mark.parametrize("allowed", [False, True])
def test_what_transformers_has_is_loaded_natively(allowed, with_code, tiny_study):
    folder, mark = with_code("gpt2")
    with trusting(allowed):
        base = load_base(tiny_study(f"model_name_or_path={folder}").config)
    assert type(base).__module__.startswith("transformers.models.gpt2") and not mark.exists()


def test_code_that_is_allowed_runs_and_the_record_says_so(with_code, tiny_study, monkeypatch):
    folder, mark = with_code("allowed")
    monkeypatch.setattr(AutoModelForCausalLM._model_mapping, "_extra_content", {})  # which learns of the class
    with trusting(True):
        base = load_base(tiny_study(f"model_name_or_path={folder}").config)
        assert provenance.collect(precision="fp32", num_processes=1).trusts_remote_code
    assert base.config.model_type == "allowed" and mark.exists()
    assert not trusts_remote_code()
    assert provenance.collect(precision="fp32", num_processes=1).trusts_remote_code is None


def test_what_libraries_load_inside_does_not_ask_either(with_code):
    folder, mark = with_code("inside")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        load_auto(lambda trust_remote_code: dynamic_module_utils.resolve_trust_remote_code(None, folder, False, True))
    assert not mark.exists()


def unguarded(tree: ast.AST) -> list[str]:
    """Return the calls of an auto class that do not go through `load_auto`."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    methods = [func for func in calls if isinstance(func, ast.Attribute) and func.attr.startswith("from_")]
    owners = [(ast.unparse(func.value), func.attr) for func in methods]
    auto = [f"{owner}.{name}" for owner, name in owners if "auto" in owner.lower()]
    return auto + [ast.unparse(func) for func in calls if ast.unparse(func).endswith("AutoConfig.for_model")]


def test_every_auto_class_is_called_by_load_auto():
    assert unguarded(ast.parse("AutoModel.from_pretrained(x); head.auto_class.from_config(y)")) != []
    found = {path.name: unguarded(ast.parse(path.read_text(encoding="utf-8"))) for path in PACKAGE.rglob("*.py")}
    assert {name: calls for name, calls in found.items() if calls} == {}
