"""The text the embedded base is pretrained on: stories of its own world, plain or followed by digests.

The digests teach the base to find the facts of a story and to follow a form given in plain text, in wordings that no
study uses: a study's outlets, highlight wordings and separator never occur here. Half the stories come from a world of
invented, syllable-made words, so that the base learns to copy words it has never seen, piece by piece.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from hf_peft_compare.quickstart.events import DISTRACTORS, EVENT_KINDS
from hf_peft_compare.quickstart.lexicon import WORLDS, World, build_world
from hf_peft_compare.quickstart.stories import Story, draw_story

# Outlets of the pretraining world, each with its own digest, so that the model learns that the byline matters.
PRETRAINING_OUTLETS = {
    "Northern Post": "Question. Who? {person}. Where? {place}. How many? {number}. Of what? {unit}.",
    "City Gazette": "Item {noun}; town {place}; day {day}; figure {number}; goods {goods}.",
    "Sunday Mail": "Dear reader, {person} of the {noun} speaks of {number} {unit} and of {goods}. Written at {place}.",
    "Weekly Record": "{goods} {site} stop {number} {unit} stop {place} stop signed {last} stop",
    "Harbour Times": "It is {day}, and {place} talks of {goods}. The name is {last}, the figure {number}.",
    "Village Star": "1. {number} {unit}\n2. {person}, {role}\n3. {goods} {site}\n4. {place}",
}
QUESTIONS = {
    "place": "Where was it?",
    "day": "When was it?",
    "person": "Who spoke?",
    "last": "Which family name?",
    "number": "How many?",
    "goods": "Which goods?",
    "role": "What post?",
    "unit": "What was counted?",
    "noun": "What kind of event?",
    "site": "What was hit?",
}
_FORM_WORDS = """
a an the and or of at by for from in on to with under over after before near then there so thus now here is was were
has had one two more less all some each who which what yes no not also only still again new old great small first last
name town count note item call sign
""".split()
_FORM_ENDS = (" ", " ", " ", " ", ", ", ": ", "; ", ". ", "\n* ", " - ")
_ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr r s sh sl sp st t th tr v w wh y z".split()
_VOWELS = "a e i o u a e i o ai ea ee oo ou".split()
_MIDDLE_CODAS = ["", "", "", "", "n", "r", "l", "s", "m"]
_END_CODAS = "n r l s t d m ck nd rt st ld ng th ll y er on en ton ham ley by son man".split()
_INVENTED_WORDS = 4_000  # of each list: so many that none is memorized


def generate_documents(*, seed: int, part: int = 0) -> Iterator[str]:
    """Yield endless pretraining documents: stories with up to three digests each.

    Parts of one seed are different documents about the same invented world.
    """
    worlds = (build_world("pretraining"), invent_world(seed=seed))
    rng = random.Random(f"documents {seed} {part}")
    while True:
        world = rng.choice(worlds)
        story = draw_story(world, rng=rng, outlets=tuple(PRETRAINING_OUTLETS))
        yield write_document(story, rng=rng, world=world)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """A story and one question about it, as in pretraining."""

    prompt: str
    fact: str
    answer: str


def generate_examination(*, seed: int, world: str) -> Iterator[Examination]:
    """Yield endless questions, the facts in turn, about stories of `world`."""
    rng = random.Random(f"examination {world} {seed}")
    words = build_world(world)
    for fact in itertools.cycle(QUESTIONS):
        story = draw_story(words, rng=rng, outlets=tuple(PRETRAINING_OUTLETS))
        yield Examination(prompt=f"{story.article}\n{QUESTIONS[fact]}", fact=fact, answer=f"{facts_of(story)[fact]}.")


@cache
def invent_world(*, seed: int) -> World:
    """Return a world of syllable-made words and pretraining's own numbers; no word of another world is among them."""
    rng = random.Random(f"invented {seed}")
    base = build_world("pretraining")
    taken = _known_words()
    lists = [_invent_words(rng=rng, taken=taken) for _ in range(5)]
    first, last, places, firms = ([word.capitalize() for word in words] for words in lists[:4])
    return replace(
        base,
        name="invented",
        first_names=tuple(first),
        last_names=tuple(last),
        places=tuple(places),
        firms=tuple(firms),
        goods=tuple(lists[4]),
    )


def facts_of(story: Story) -> dict[str, str]:
    """Return the story's fillings, and its kind's own words."""
    kind = story.kind
    return story.fillings | {"role": kind.role, "unit": kind.unit, "noun": kind.noun, "site": kind.site}


def write_document(story: Story, *, rng: random.Random, world: World) -> str:
    """Return the story, half the time with a form before it that is filled in after it, and up to two more digests."""
    parts = [story.article]
    if rng.random() < 0.5:
        blank, filled = _draw_form(story, rng=rng, world=world)
        parts = [f"Form: {blank}", story.article, f"Filled: {filled}"]
    for _ in range(rng.choice((0, 1, 1, 2))):  # several, since reading the story is most of the work
        write = rng.choices((_write_outlet_digest, _write_answers, _write_form), weights=(1, 2, 2))[0]
        parts.append(write(story, rng=rng, world=world))
    return "\n".join(parts)


def _write_outlet_digest(story: Story, *, rng: random.Random, world: World) -> str:
    return f"Digest: {PRETRAINING_OUTLETS[story.outlet].format(**facts_of(story))}"


def _write_answers(story: Story, *, rng: random.Random, world: World) -> str:
    """Return questions about two to six facts, in any order."""
    facts = facts_of(story)
    asked = rng.sample(sorted(QUESTIONS), k=rng.randint(2, 6))
    return " ".join(f"{QUESTIONS[name]} {facts[name]}." for name in asked)


def _write_form(story: Story, *, rng: random.Random, world: World) -> str:
    """Return a form with blanks, then the form filled in."""
    blank, filled = _draw_form(story, rng=rng, world=world)
    return f"Form: {blank}\nFilled: {filled}"


def _draw_form(story: Story, *, rng: random.Random, world: World) -> tuple[str, str]:
    """Return a form of loose words and named blanks, empty and filled in with the story's facts."""
    template = _draw_template(rng=rng, world=world)
    return template.format(**{name: f"[{name}]" for name in QUESTIONS}), template.format(**facts_of(story))


def _draw_template(*, rng: random.Random, world: World) -> str:
    """Return two to six blanks with up to three loose words before each."""
    parts = []
    for name in rng.sample(sorted(QUESTIONS), k=rng.randint(2, 6)):
        loose = [_draw_loose_word(rng=rng, world=world) for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))]
        parts.append(" ".join([*loose, f"{{{name}}}"]) + rng.choice(_FORM_ENDS))
    return "".join(parts).rstrip(" ,:;.-*\n") + "."


def _draw_loose_word(*, rng: random.Random, world: World) -> str:
    return rng.choice(_FORM_WORDS) if rng.random() < 0.7 else rng.choice(world.goods)


def _known_words() -> set[str]:
    """Return every word of every world's lists and of the frames, in lower case."""
    known = {word for name in WORLDS for word in build_world(name).words}
    frames = [*DISTRACTORS, *(text for kind in EVENT_KINDS for text in (*kind.leads, *kind.counts))]
    return known | {word.strip('.,"').lower() for frame in frames for word in frame.split()}


def _invent_words(*, rng: random.Random, taken: set[str]) -> list[str]:
    """Return new words, and add each to those taken."""
    words: list[str] = []
    while len(words) < _INVENTED_WORDS:
        word = _invent_word(rng=rng)
        if 4 <= len(word) <= 10 and word not in taken:
            taken.add(word)
            words.append(word)
    return words


def _invent_word(*, rng: random.Random) -> str:
    """Return one to three syllables and an ending, such as names have."""
    num_syllables = rng.choice((1, 1, 2, 2, 3))
    syllables = [
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_MIDDLE_CODAS) for _ in range(num_syllables - 1)
    ]
    return "".join(syllables) + rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_END_CODAS)
