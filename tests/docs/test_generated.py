"""What the documentation takes from the code: nothing is left out, and nothing lacks a meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Annotated, Any, Literal

import pytest
from docs_pages import PAGES
from pydantic import Field

from hf_peft_compare.config.schema import StudyConfig
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS
from hf_peft_compare.core.settings import NonNegativeInt, PositiveInt, described
from hf_peft_compare.orchestration.executors import DISTANT
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.utils.markdown import table
from tools.docs.fragments import FRAGMENTS, PLACE, filled
from tools.docs.links import outside_links, relinked
from tools.docs.markdown import code, default, prose
from tools.docs.record import parts_of
from tools.docs.settings import SECTIONS, in_words, keys_of

KINDS: Mapping[str, Any] = {
    "study": StudyConfig,
    **SECTIONS,
    **{name: method.settings for name, method in METHODS.entries.items()},
    **{name: task.settings for name, task in TASKS.entries.items()},
    **{name: executor.options for name, executor in DISTANT.items()},
    **{f"metric {name}": type(metric) for name, metric in METRICS.entries.items() if is_dataclass(metric)},
    "record": RunRecord,
    **{f"record {key}": kind for key, kind in parts_of(RunRecord).items()},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_key_has_a_meaning(name: str) -> None:
    assert [setting.name for setting in described(KINDS[name]) if not setting.meaning] == []


def test_every_fragment_has_its_place_in_one_page() -> None:
    assert sorted(name for page in PAGES.values() for name in PLACE.findall(page)) == sorted(FRAGMENTS)


def test_a_page_with_an_unknown_fragment_is_an_error() -> None:
    with pytest.raises(KeyError, match="study_kyes"):
        filled("# Page\n\n{{ study_kyes }}\n")


@pytest.mark.parametrize(("fragment", "names"), [("method_cards", METHODS.entries), ("task_cards", TASKS.entries)])
def test_every_method_and_task_has_its_section_with_all_settings(fragment: str, names: Mapping[str, Any]) -> None:
    page = FRAGMENTS[fragment]()
    for name, entry in names.items():
        assert f"## `{name}`: {entry.title}" in page
        assert all(f"{{ #{name}.{setting.name} }}" in page for setting in described(entry.settings))


def test_a_card_of_a_peft_type_has_its_learning_rate_with_the_source() -> None:
    _, card = FRAGMENTS["peft_cards"]().split("### `IA3`")
    assert "**Learning rate**: 0.008, tuned over 0.0003 to 0.3 (peft's guide" in card.split("###")[0]


def test_every_score_is_in_the_table_of_metrics() -> None:
    page = FRAGMENTS["metric_table"]()
    assert all(f"`{score.name}`" in page for metric in METRICS.entries.values() for score in metric.scores)


def test_the_keys_of_a_study_are_each_described_once() -> None:
    anchors = re.findall(r"^#### .* \{ #(\S+) \}$", FRAGMENTS["study_keys"](), re.MULTILINE)
    nested = [f"{key}.{setting.name}" for key, kind in SECTIONS.items() for setting in described(kind)]
    assert sorted(anchors) == sorted([*(setting.name for setting in described(StudyConfig)), *nested])


def test_commands_are_described_but_for_the_hidden_one() -> None:
    page = FRAGMENTS["command_line"]()
    assert "## `choose`" in page and "`--max-memory SIZE`" in page and "most memory, such as 8GiB" in page
    assert "train-job" not in page


def test_the_gallery_has_the_first_sentence_of_each_verdict() -> None:
    page = FRAGMENTS["gallery"]()
    assert "[minilm-mnli](../reports/minilm-mnli/README.md)" in page
    assert "The best method is Full fine-tuning" in page and "6,000 / 1,000 / 4,000" in page


@dataclass
class Example:
    """Settings.

    Args:
        size: how many; `0` is none, *really*, None as many as there are.
        names: whom.
    """

    size: NonNegativeInt | None = 0
    names: list[str] = field(default_factory=list)


def test_a_key_is_a_heading_with_type_default_and_meaning() -> None:
    assert list(keys_of(Example, prefix="example.", only=["size"])) == [
        "#### `size` { #example.size }",
        "whole number ≥ 0 or `null`; default `0`",
        r"How many; `0` is none, \*really\*, `null` as many as there are.",
    ]


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (PositiveInt | None, "whole number > 0 or `null`"),
        (Annotated[float, Field(ge=0, lt=1)], "number ≥ 0 and < 1"),
        (Literal["auto", "chat"], '`"auto"` or `"chat"`'),
        (dict[str, list[str]], "mapping of names to list of texts"),
        (dict[str, Any], "mapping"),
        (list[PositiveInt], "list of whole numbers > 0"),
        (Example | Literal["auto"] | None, 'mapping or `"auto"` or `null`'),
        (bool, "true or false"),
    ],
)
def test_types_are_in_words(hint: Any, words: str) -> None:
    assert in_words(hint) == words


def test_defaults_are_as_yaml_has_them() -> None:
    assert default(None) == "default `null`"
    assert default(["a"]) == 'default `["a"]`'
    assert default("long " * 30).startswith("default:\n\n```text\nlong ")


def test_text_cannot_break_a_table_or_turn_into_markup() -> None:
    assert prose("a|b <c> `d_e`") == r"a\|b &lt;c&gt; `d_e`"
    assert table(("x", "y"), [(code("a|b"), "two\nlines")]) == "| x | y |\n| --- | --- |\n| `a\\|b` | two lines |"


def test_links_out_of_docs_lead_to_copies_in_the_site() -> None:
    page, text = "docs/how-to/x.md", "[a](../../examples/add_a_method.py), [b](choose.md), [c](../../reports/), [d](#e)"
    assert list(outside_links(page, text)) == ["examples/add_a_method.py"]
    assert relinked(page, text) == "[a](../examples/add_a_method.py), [b](choose.md), c, [d](#e)"


def test_a_report_is_linked_in_html_where_it_has_a_page() -> None:
    text = "[q](../reports/quickstart/README.md) [m](../reports/minilm-mnli/README.md)"
    assert list(outside_links("docs/x.md", text)) == ["reports/quickstart/index.html", "reports/minilm-mnli/README.md"]
