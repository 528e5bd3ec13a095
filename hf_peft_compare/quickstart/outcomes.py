"""Short news stories to be classified: did the dealer whom the story opens with gain by it, lose by it, or neither?

The opening says nothing of the outcome. Then, in varied wording, one of three parties gains, one loses, and one is left
as before; the dealer's outcome is the label, the others' are distractors. Every story tells all three outcomes, so the
words of all labels are the same and counting them tells nothing: what must be read is who stands in which sentence.
Most stories end on the dealer, so that a shallow reader, who takes the last sentence for the answer, is half right.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hf_peft_compare.quickstart.events import EVENT_KINDS, OUTLETS
from hf_peft_compare.quickstart.lexicon import World, build_world
from hf_peft_compare.quickstart.stories import draw_fillings

if TYPE_CHECKING:
    from datasets import DatasetDict

LABELS = ("gain", "loss", "neither")
ENDS_ON_MAIN = 0.6  # the share of stories whose last sentence is the label's; without reading on, .6 is the most
MAIN, *OTHERS = ("dealer", "mayor", "sailor")

# Names never begin a line: a byte-level tokenizer splits a word differently without the space before it.
OPENINGS = (
    "Dealer {person} came to the {goods} {site} in {place} on {day}.",
    "On {day} dealer {person} opened a {goods} {site} in {place}.",
    "The {goods} {site} in {place} has a new dealer, {person}.",
    "Nobody in {place} sold more {goods} than dealer {person}.",
)
# Outcomes have the same forms, so that none is known by where in its sentence the party stands.
OUTCOMES = {
    "gain": (
        "The {party} won {number} coins.",
        "The {party} made {number} coins that day.",
        "After {number} weeks the {party} had more than before.",
        "For the {party} it was a prize of {number} coins.",
    ),
    "loss": (
        "The {party} lost {number} coins.",
        "The {party} gave away {number} coins that day.",
        "After {number} weeks the {party} had less than before.",
        "For the {party} it was a fraud of {number} coins.",
    ),
    "neither": (
        "The {party} has {number} coins still.",
        "The {party} had the same {number} coins that day.",
        "After {number} weeks the {party} was where it all began.",
        "For the {party} it was a talk of {number} minutes.",
    ),
}


def generate_outcomes(num_stories: int, *, seed: int, world: str) -> list[dict[str, str]]:
    """That many different stories of one world, as rows with `id`, `text` and `label`.

    The same seed gives the same stories; a longer list begins with the shorter one.
    """
    words = build_world(world)
    rng = random.Random(f"outcomes {world} {seed}")  # a string seed is hashed by value, so worlds draw independently
    labels: dict[str, str] = {}
    while len(labels) < num_stories:
        text, label = tell_outcomes(words, rng=rng)
        labels.setdefault(text, label)
    return [
        {"id": f"{world}-{seed}-{index}", "text": text, "label": label}
        for index, (text, label) in enumerate(labels.items())
    ]


def load_outcomes(
    *, num_train_samples: int, num_validation_samples: int, num_test_samples: int, seed: int
) -> DatasetDict:
    """The splits `train`, `validation` and `test`, each from a world of its own."""
    from datasets import Dataset, DatasetDict

    sizes = {"train": num_train_samples, "validation": num_validation_samples, "test": num_test_samples}
    return DatasetDict(
        {name: Dataset.from_list(generate_outcomes(size, seed=seed, world=name)) for name, size in sizes.items()}
    )


def tell_outcomes(world: World, *, rng: random.Random) -> tuple[str, str]:
    """One story and its label, all names and numbers drawn from `world`."""
    opening = rng.choice(OPENINGS).format(site=rng.choice(EVENT_KINDS).site, **draw_fillings(world, rng=rng))
    label, *other_labels = rng.sample(LABELS, k=len(LABELS))
    told = [
        _tell(outcome, party, world=world, rng=rng)
        for outcome, party in zip(other_labels, rng.sample(OTHERS, k=len(OTHERS)), strict=True)
    ]
    place = len(told) if rng.random() < ENDS_ON_MAIN else rng.randrange(len(told))
    told.insert(place, _tell(label, MAIN, world=world, rng=rng))
    return " ".join([f"{rng.choice(tuple(OUTLETS))} -", opening, *told]), label


def _tell(outcome: str, party: str, *, world: World, rng: random.Random) -> str:
    """What came of it for one party, in one of the outcome's wordings."""
    return rng.choice(OUTCOMES[outcome]).format(party=party, number=rng.choice(world.numbers))
