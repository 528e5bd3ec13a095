"""What is installed from a wheel is whole: studies and the embedded base are inside, how the base was made is not."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_wheel_lists_studies_and_has_the_base_from_another_directory(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; install the extra `test`")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path / "dist", ROOT]
    subprocess.run([*pip, *map(str, build)], check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"hf_peft_compare"}
    assert not [name for name in names if "pretrain" in name]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(tmp_path / "site"), str(wheel)], check=True
    )

    script = (
        "import hf_peft_compare as package; from hf_peft_compare.cli.main import main; "
        "from hf_peft_compare.quickstart import BASE_FOLDER; "
        "print(package.__file__); print(*sorted(p.name for p in BASE_FOLDER.iterdir())); main(['list'])"
    )
    assert (tmp_path / "site" / "hf_peft_compare" / "py.typed").is_file()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    output = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert output.startswith(str(tmp_path / "site"))
    assert "model.safetensors" in output and "quickstart" in output and "gpt2-cnn-dailymail" in output
