"""What a model read of an example is shown whole: earlier turns, the text, and a second text that is no picture."""

from __future__ import annotations

from synthetic import make_record

from hf_peft_compare.report.sources import source_text


def test_a_single_text_is_shown_as_it_is() -> None:
    assert source_text(None, {"source": "A fox."}) == "A fox."
    assert source_text(None, {}) == ""


def test_both_texts_of_a_pair_are_shown() -> None:
    assert source_text(None, {"source": "Ann is in Oslo.", "source_pair": "Where?"}) == "Ann is in Oslo.\nWhere?"


def test_a_conversation_is_shown_with_its_roles() -> None:
    earlier = [{"role": "user", "text": "2 + 3?"}, {"role": "assistant", "text": "5", "learned": False}, "broken"]
    line = {"source": "Times 4?", "earlier": earlier}
    assert source_text(None, line) == "[user] 2 + 3?\n[assistant] 5\n[user] Times 4?"


def test_the_path_of_a_picture_is_not_shown() -> None:
    record = make_record("lora")
    pictures = make_record("lora", config={**record.config, "task": {"name": "visual_question_answering"}})
    line = {"source": "What is it?", "source_pair": "/home/me/image1.jpg"}
    assert source_text(pictures, line) == "What is it?"
    assert source_text(record, line).endswith("image1.jpg")
