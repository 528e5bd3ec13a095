"""What is installed from a wheel is whole: studies and the embedded base are inside, how the base was made is not."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def build_wheel(source, folder):
    """Build the wheel of a source tree; return its path."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; install the extra `test`")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source]
    subprocess.run([*PIP, *map(str, build)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this repository."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_image_is_built_from_all_that_the_wheel_has(wheel, tmp_path):
    """Each file that the Dockerfile copies is let in by .dockerignore, and together they make the whole package."""
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = re.findall(r"^COPY (.+) (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for source in (source for sources, _ in copied for source in sources.split()):
        assert f"!{Path(source).parts[0]}" in let_in
        copy = tmp_path / "image" / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, copy, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, copy)
    copied_wheel = build_wheel(tmp_path / "image", tmp_path / "dist")
    assert zipfile.ZipFile(copied_wheel).namelist() == zipfile.ZipFile(wheel).namelist()


def test_a_wheel_lists_studies_and_has_the_base_from_another_directory(wheel, tmp_path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"hf_peft_compare"}
    assert not [name for name in names if "pretrain" in name]
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--target", str(tmp_path / "site"), str(wheel)], check=True
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
