"""Predictions of finished runs: several on one base, as if each were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from finished_runs import METHODS, TEXTS, make_config, make_run
from tiny import write_rows

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference import loading
from hf_peft_compare.inference.loading import read_finished
from hf_peft_compare.inference.prediction import predict_texts, read_texts
from hf_peft_compare.models.loading import load_base
from hf_peft_compare.records.run_folder import RECORD_FILE


@pytest.mark.parametrize("row", [row for row in METHODS if row != "lead"])
def test_padding_changes_no_prediction(row: str, runs: dict[str, Path], alone: dict[str, list[str]]) -> None:
    one_by_one = [p["prediction"] for p in predict_texts([runs[row]], TEXTS, batch_size=1)]
    assert one_by_one == alone[row]


def test_runs_that_share_a_base_predict_as_if_alone(
    runs: dict[str, Path], alone: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def count_loads(config: RunConfig) -> Any:
        loads.append(config.row)
        return load_base(config)

    monkeypatch.setattr(loading, "load_base", count_loads)
    order = ["lora", "soft", "ia3", "prefix", "lora_norm", "zero_shot", "lead", "p_tuning", "lora", "full"]
    order += ["lora_bias", "soft", "last_layers", "zero_shot"]
    predictions = list(predict_texts([runs[row] for row in order], TEXTS))
    for place, row in enumerate(order):
        rows = predictions[place * len(TEXTS) : (place + 1) * len(TEXTS)]
        assert [r["id"] for r in rows] == ["0", "1", "2"]
        assert {r["run"] for r in rows} == {f"tiny/{row}-seed0"}
        assert [r["prediction"] for r in rows] == alone[row], row
    # A trained norm, trained biases and last layers change the base itself: the run after each loads it anew.
    assert loads == ["lora", "zero_shot", "soft", "zero_shot"]


def test_every_method_predicts_something_of_its_own(alone: dict[str, list[str]]) -> None:
    assert len({tuple(predictions) for predictions in alone.values()}) == len(METHODS)
    assert alone["lead"][1] == "A short one."


def test_another_base_is_loaded_for_the_run_that_needs_it(
    runs: dict[str, Path], alone: dict[str, list[str]], tmp_path: Path
) -> None:
    """Random weights are those of the run's seed: another seed is another base."""
    untrained = {"init": "config", "architecture": {"initializer_range": 0.4}}
    for seed in (1, 2):
        make_run(tmp_path / str(seed), make_config(runs["lora"].parent / "base", "zero_shot", seed=seed, **untrained))
    folders = [runs["lora"], tmp_path / "1", tmp_path / "2", tmp_path / "1"]
    predicted = [p["prediction"] for p in predict_texts(folders, TEXTS)]
    lora, first, second, again = (predicted[i : i + 3] for i in range(0, 12, 3))
    assert lora == alone["lora"]
    assert first == again
    assert len({tuple(lora), tuple(first), tuple(second)}) == 3


def test_nothing_is_loaded_while_something_is_wrong(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_base", lambda config: pytest.fail("loaded"))
    with pytest.raises(UserError, match=RECORD_FILE):
        predict_texts([runs["lora"], runs["lora"] / "nowhere"], TEXTS)
    with pytest.raises(UserError, match="text 2"):
        predict_texts([runs["lora"]], ["fine", "  "])
    with pytest.raises(UserError, match="no text"):
        predict_texts([runs["lora"]], [])


def test_the_column_of_texts_is_that_of_the_runs_dataset(runs: dict[str, Path]) -> None:
    assert read_finished(runs["lora"]).columns == ["article"]


def test_a_text_file_is_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One\n\ntwo ü.\n", encoding="utf-8")
    assert read_texts(tmp_path / "a.txt", ["article"]) == ["One\n\ntwo ü.\n"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_column_of_a_file_is_its_texts(suffix: str, tmp_path: Path) -> None:
    rows = [{"article": 'One, "quoted"', "number": 1}, {"article": "two", "number": 2}]
    path = write_rows(tmp_path / f"rows{suffix}", rows)
    assert read_texts(path, ["article"]) == ['One, "quoted"', "two"]
    with pytest.raises(UserError, match="article, number"):
        read_texts(path, ["document"])


def test_a_file_is_read_as_a_dataset_is(tmp_path: Path) -> None:
    """Each cell of a CSV is text, and an error names file, line and cause."""
    path = tmp_path / "rows.csv"
    path.write_text("article,title\nNA,null\n01,2.0\n")
    assert read_texts(path, ["article", "title"]) == [("NA", "null"), ("01", "2.0")]
    path.write_bytes("article\nA fox.\nEin Käuzchen.\n".encode("latin-1"))
    with pytest.raises(UserError, match="rows.csv, line 3: byte 0xe4 is not UTF-8"):
        read_texts(path, ["article"])
    path.write_text("article,title\na,b\na,b,c\n")
    with pytest.raises(UserError, match="rows.csv cannot be read: .* 2 fields in line 3, saw 3"):
        read_texts(path, ["article"])


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_texts(tmp_path / "missing.txt", ["article"])
    (tmp_path / "a.docx").touch()
    with pytest.raises(UserError, match=r"\.docx"):
        read_texts(tmp_path / "a.docx", ["article"])
    (tmp_path / "a.txt").write_bytes("ü".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        read_texts(tmp_path / "a.txt", ["article"])
    (tmp_path / "a.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="cannot be read"):
        read_texts(tmp_path / "a.parquet", ["article"])
