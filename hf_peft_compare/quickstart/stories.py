"""Short news stories with highlights, generated from a seed: the data of the quickstart, which needs no network.

Every article reports one event among distracting sentences; its highlights keep the place, the goods, the number and,
depending on house style, the person and the day. The outlet in the dateline determines the style. Stories of different
worlds share their sentence templates but no name, place, firm, goods or number, so a test score measures copying and
selection, not memorization.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hf_peft_compare.quickstart.events import DISTRACTORS, EVENT_KINDS, OUTLETS, EventKind
from hf_peft_compare.quickstart.lexicon import DAYS, World, build_world

if TYPE_CHECKING:
    from datasets import DatasetDict

NUM_DISTRACTORS = (1, 2, 2, 3)  # sampled uniformly


@dataclass(frozen=True, kw_only=True)
class Story:
    """One event reported by one outlet: the article, and the values of its placeholders."""

    kind: EventKind
    outlet: str
    article: str
    fillings: dict[str, str]

    @cached_property
    def highlights(self) -> str:
        """The summary of the event in the house style of the outlet."""
        template = getattr(self.kind, OUTLETS[self.outlet])
        return template.format(**self.fillings)


def generate_stories(num_stories: int, *, seed: int, world: str) -> list[dict[str, str]]:
    """Return distinct stories of one world, as rows with `article`, `highlights` and `id`.

    The same seed returns the same stories; a longer list begins with the shorter one.
    """
    stories = draw_stories(num_stories, seed=seed, world=world)
    return [
        {"article": story.article, "highlights": story.highlights, "id": f"{world}-{seed}-{index}"}
        for index, story in enumerate(stories)
    ]


def load_stories(
    *, num_train_samples: int, num_validation_samples: int, num_test_samples: int, seed: int
) -> DatasetDict:
    """Return the splits `train`, `validation` and `test`, each from its own world, with CNN/DailyMail's columns."""
    from datasets import Dataset, DatasetDict

    sizes = {"train": num_train_samples, "validation": num_validation_samples, "test": num_test_samples}
    return DatasetDict(
        {name: Dataset.from_list(generate_stories(size, seed=seed, world=name)) for name, size in sizes.items()}
    )


def draw_stories(num_stories: int, *, seed: int, world: str, outlets: tuple[str, ...] = tuple(OUTLETS)) -> list[Story]:
    """Return stories with distinct articles, and their fillings."""
    words = build_world(world)
    rng = random.Random(f"{world} {seed}")  # a string seed is hashed by value, so worlds draw independently
    stories: dict[str, Story] = {}
    while len(stories) < num_stories:
        story = draw_story(words, rng=rng, outlets=outlets)
        stories.setdefault(story.article, story)
    return list(stories.values())


def draw_story(world: World, *, rng: random.Random, outlets: tuple[str, ...] = tuple(OUTLETS)) -> Story:
    """Return one story with fillings drawn from `world`."""
    kind = rng.choice(EVENT_KINDS)
    outlet = rng.choice(outlets)
    fillings = draw_fillings(world, rng=rng)
    sentences = _arrange(_main_sentences(kind, rng=rng), _distracting_sentences(world, fillings=fillings, rng=rng), rng)
    place_in_dateline = rng.random() < 0.7
    dateline = "{outlet}, {place} - " if place_in_dateline else "{outlet} - "
    in_place = "here" if place_in_dateline else f"in {fillings['place']}"
    article = (dateline + " ".join(sentences)).format(outlet=outlet, in_place=in_place, **fillings)
    return Story(kind=kind, outlet=outlet, article=article, fillings=fillings)


def draw_fillings(world: World, *, rng: random.Random) -> dict[str, str]:
    """Return the main facts; the last name is a separate filling, since a house style may use it alone."""
    first, last = rng.choice(world.first_names), rng.choice(world.last_names)
    return {
        "place": rng.choice(world.places),
        "day": rng.choice(DAYS),
        "person": f"{first} {last}",
        "last": last,
        "number": str(rng.choice(world.numbers)),
        "goods": rng.choice(world.goods),
    }


def _main_sentences(kind: EventKind, *, rng: random.Random) -> list[str]:
    return [rng.choice(kind.leads), rng.choice(kind.counts)]


def _distracting_sentences(world: World, *, fillings: dict[str, str], rng: random.Random) -> list[str]:
    """Return distractors, each with its own fillings, which differ from the main facts."""
    frames = rng.sample(DISTRACTORS, k=rng.choice(NUM_DISTRACTORS))
    return [frame.format(**_draw_others(world, fillings=fillings, rng=rng)) for frame in frames]


def _draw_others(world: World, *, fillings: dict[str, str], rng: random.Random) -> dict[str, str]:
    """Return the fillings of a distractor: none is a main fact, otherwise highlights could be right by chance."""
    others = draw_fillings(world, rng=rng)
    while any(others[name] == fillings[name] for name in ("place", "last", "number", "goods")):
        others = draw_fillings(world, rng=rng)
    return {f"other_{name}": filling for name, filling in others.items()} | {"other_firm": rng.choice(world.firms)}


def _arrange(main: list[str], distracting: list[str], rng: random.Random) -> list[str]:
    """Return the sentences with the lead first, or second after a distractor; the rest in random order."""
    lead, *rest = main
    tail = rest + distracting
    rng.shuffle(tail)
    lead_position = 1 if tail[0] in distracting and rng.random() < 0.3 else 0
    return tail[:lead_position] + [lead] + tail[lead_position:]
