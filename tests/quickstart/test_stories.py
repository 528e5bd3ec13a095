"""The embedded news means what it says: seeded, varied, styled by its outlet, and shared by no two worlds."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections import Counter

import pytest

from hf_peft_compare.quickstart.events import EVENT_KINDS, OUTLETS
from hf_peft_compare.quickstart.lexicon import WORLDS, build_world
from hf_peft_compare.quickstart.stories import draw_stories, generate_stories, load_stories
from tools.pretrain_quickstart_base.digests import (
    QUESTIONS,
    facts_of,
    generate_documents,
    generate_examination,
    invent_world,
)

STUDY_WORLDS = ("train", "validation", "test")
NUM_STORIES = 400


def words_of(text: str) -> set[str]:
    """Words and numbers, in lower case."""
    return set(re.findall(r"[a-z]+|\d+", text.lower()))


def pretraining_documents(count: int = 2_000) -> list[str]:
    return list(itertools.islice(generate_documents(seed=0), count))


def test_same_seed_same_stories_and_other_seed_others() -> None:
    first = generate_stories(20, seed=1, world="train")
    assert generate_stories(20, seed=1, world="train") == first
    assert generate_stories(30, seed=1, world="train")[:20] == first
    assert generate_stories(20, seed=2, world="train") != first


def test_stories_are_unique_within_and_across_splits() -> None:
    articles = [row["article"] for world in WORLDS for row in generate_stories(NUM_STORIES, seed=0, world=world)]
    assert len(set(articles)) == len(articles)


def test_every_kind_and_every_style_occurs() -> None:
    stories = draw_stories(NUM_STORIES, seed=0, world="test")
    assert len(EVENT_KINDS) >= 8
    assert {story.kind.noun for story in stories} == {kind.noun for kind in EVENT_KINDS}
    assert {story.outlet for story in stories} == set(OUTLETS)
    assert len(set(OUTLETS.values())) == 3


@pytest.mark.parametrize("world", STUDY_WORLDS)
def test_outlet_foretells_the_style(world: str) -> None:
    for row in generate_stories(60, seed=0, world=world):
        shapes = {
            "Morning Courier": bool(re.match(r"[A-Z][a-z]+ in [A-Z][a-z]+: ", row["highlights"])),
            "Evening Herald": bool(re.match(r"[A-Z][a-z]+ [A-Z][a-z]+, ", row["highlights"])),
            "Daily Wire": bool(re.match(r"- .+\.\n- [A-Z][a-z]+: .+\.$", row["highlights"])),
        }
        [outlet] = [outlet for outlet in OUTLETS if row["article"].startswith(outlet)]
        assert [name for name, fits in shapes.items() if fits] == [outlet]


@pytest.mark.parametrize("world", STUDY_WORLDS)
def test_names_and_numbers_of_highlights_stand_in_the_article_once_distractors_differ(world: str) -> None:
    for story in draw_stories(60, seed=0, world=world):
        for name in ("place", "person", "number", "goods"):
            assert Counter(re.findall(r"\w+", story.article))[story.fillings[name].split()[-1]] == 1


@pytest.mark.parametrize(("world", "other"), list(itertools.combinations(WORLDS, 2)))
def test_worlds_share_no_word_and_no_number_in_their_lists(world: str, other: str) -> None:
    first, second = build_world(world), build_world(other)
    assert not first.words & second.words
    assert not set(first.numbers) & set(second.numbers)


@pytest.mark.parametrize(("world", "other"), list(itertools.combinations(STUDY_WORLDS, 2)))
def test_texts_of_two_worlds_share_only_the_words_of_the_frames(world: str, other: str) -> None:
    """Read from the raw text, whatever the generator's lists say."""
    shared = words_of(all_text(world)) & words_of(all_text(other))
    assert not {word for word in shared if word.isdigit()}
    assert shared <= words_of(frames())


def all_text(world: str) -> str:
    rows = generate_stories(NUM_STORIES, seed=0, world=world)
    return " ".join(f"{row['article']} {row['highlights']}" for row in rows)


def frames() -> str:
    """All fixed words: outlets, days, and every frame with its fillings cut out."""
    from hf_peft_compare.quickstart.events import DISTRACTORS
    from hf_peft_compare.quickstart.lexicon import DAYS

    texts = [text for kind in EVENT_KINDS for text in (*kind.leads, *kind.counts, kind.courier, kind.herald, kind.wire)]
    return re.sub(r"\{\w+\}", " ", " ".join([*OUTLETS, *DAYS, *texts, *DISTRACTORS, "here in"]))


@pytest.mark.parametrize("world", STUDY_WORLDS)
def test_pretraining_text_has_no_word_of_a_study_world(world: str) -> None:
    seen = words_of(" ".join(pretraining_documents()))
    assert not seen & build_world(world).words
    assert not seen & {str(number) for number in build_world(world).numbers}
    assert seen & build_world("pretraining").words  # the same measure does find words where they are


def test_invented_words_are_no_words_of_any_world() -> None:
    invented = invent_world(seed=0)
    assert not any(invented.words & build_world(world).words for world in WORLDS)


def test_study_wordings_are_not_in_the_pretraining_text() -> None:
    text = "\n".join(pretraining_documents())
    assert "TL;DR" not in text
    assert not [outlet for outlet in OUTLETS if outlet in text]
    for kind in EVENT_KINDS:
        for template in (kind.courier, kind.herald, kind.wire):
            gaps = [re.escape(part) for part in re.split(r"\{\w+\}", template)]
            assert not re.search(r"[\w ]+".join(gaps), text), template


def test_the_search_for_study_wordings_can_find_them() -> None:
    """The same search does find a highlight where there is one."""
    [row] = generate_stories(1, seed=0, world="train")
    found = [
        template
        for kind in EVENT_KINDS
        for template in (kind.courier, kind.herald, kind.wire)
        if re.search(r"[\w ]+".join(re.escape(part) for part in re.split(r"\{\w+\}", template)), row["highlights"])
    ]
    assert len(found) == 1


def test_examination_asks_every_fact_and_answers_from_the_story() -> None:
    asked = list(itertools.islice(generate_examination(seed=0, world="validation"), len(QUESTIONS)))
    assert [examination.fact for examination in asked] == list(QUESTIONS)
    for examination in asked:
        if examination.fact in ("place", "day", "person", "last", "number", "goods"):
            assert examination.answer.rstrip(".") in examination.prompt


def test_facts_hold_all_that_a_digest_may_ask() -> None:
    [story] = draw_stories(1, seed=0, world="pretraining")
    assert set(QUESTIONS) == set(facts_of(story))


def test_splits_have_the_columns_of_cnn_dailymail() -> None:
    stories = load_stories(num_train_samples=8, num_validation_samples=4, num_test_samples=5, seed=3)
    assert {name: len(split) for name, split in stories.items()} == {"train": 8, "validation": 4, "test": 5}
    assert all(set(split.column_names) == {"article", "highlights", "id"} for split in stories.values())


def test_unknown_world_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError, match="pretraining, train, validation, test"):
        generate_stories(1, seed=0, world="training")


def test_import_needs_neither_torch_nor_datasets() -> None:
    code = "import sys, hf_peft_compare.quickstart; print({'torch', 'datasets', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
