"""Examples about images show their picture, small, and no other file of this machine is read."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from synthetic import Study, make_predictions, make_record

from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report import write_report
from hf_peft_compare.report.pictures import WIDEST, embed_picture


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of a dataset, larger than a page shows it."""
    (tmp_path / "rooms" / "images").mkdir(parents=True)
    path = tmp_path / "rooms" / "images" / "image1.png"
    Image.new("RGB", (1200, 600), "red").save(path)
    return path


def record_of(dataset: Path, task: str = "visual_question_answering", **changes: Any) -> RunRecord:
    config = {**make_record("lora").config, "task": {"name": task}, "dataset": str(dataset)}
    return make_record("lora", config=config, **changes)


def test_a_picture_is_made_small_and_embedded(picture: Path) -> None:
    address = embed_picture(record_of(picture.parents[1]), {"source_pair": str(picture)})
    kind, _, text = address.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert kind == "data:image/jpeg;base64" and image.size == (WIDEST, WIDEST // 2)


@pytest.mark.parametrize("line", [{}, {"source_pair": None}, {"source_pair": "/nowhere/x.png"}, {"source_pair": "\0"}])
def test_without_a_file_there_is_no_picture(picture: Path, line: dict[str, Any]) -> None:
    assert embed_picture(record_of(picture.parents[1]), line) == ""


def test_nothing_outside_of_the_dataset_is_read(picture: Path, tmp_path: Path) -> None:
    line = {"source_pair": str(picture)}
    assert embed_picture(record_of(tmp_path / "elsewhere"), line) == ""
    assert embed_picture(record_of(picture.parents[1], task="sequence_classification"), line) == ""
    (picture.parent / "link.png").symlink_to("/etc/hostname")
    assert embed_picture(record_of(picture.parents[1]), {"source_pair": str(picture.parent / "link.png")}) == ""


def test_what_is_no_image_is_left_out(picture: Path) -> None:
    picture.write_text("not an image")
    assert embed_picture(record_of(picture.parents[1]), {"source_pair": str(picture)}) == ""


def test_the_page_shows_it_and_allows_it(picture: Path, tmp_path: Path) -> None:
    lines = [{**line, "source_pair": str(picture)} for line in make_predictions("lora")]
    records = {"lora-seed0": record_of(picture.parents[1], predictions=lines)}
    page = write_report(Study(methods={"lora": {}}), records, {"lora-seed0": lines}, tmp_path / "report")  # type: ignore[arg-type]
    text = page.read_text(encoding="utf-8")
    assert '<img class="picture" src="data:image/jpeg;base64,' in text and "img-src data:" in text
