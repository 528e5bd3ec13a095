"""Short news stories for classification: does the dealer introduced in the opening gain, lose, or neither?

The opening does not reveal the outcome. Then, in varied wording, one of three parties gains, one loses, and one is
unchanged; the dealer's outcome is the label, the others' are distractors. Every story contains all three outcomes, so
stories of all labels use the same words and counting words does not help: a model must relate party and outcome. Most
stories end with the dealer, so that a shallow model, which classifies by the last sentence, is right half of the time.
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
# The share of stories whose last sentence is the label's; a model that reads only this sentence reaches at most .6.
ENDS_ON_MAIN = 0.6
MAIN, *OTHERS = ("dealer", "mayor", "sailor")

# No line begins with a name: a byte-level tokenizer splits a word differently without the space before it.
OPENINGS = (
    "Dealer {person} came to the {goods} {site} in {place} on {day}.",
    "On {day} dealer {person} opened a {goods} {site} in {place}.",
    "The {goods} {site} in {place} has a new dealer, {person}.",
    "Nobody in {place} sold more {goods} than dealer {person}.",
)
# Outcomes have the same forms, so that the position of the party in its sentence does not reveal one.
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
    """Return distinct stories of one world, as rows with `id`, `text` and `label`.

    The same seed returns the same stories; a longer list begins with the shorter one.
    """
    words = build_world(world)
    rng = random.Random(f"outcomes {world} {seed}")  # a string seed is hashed by value, so worlds draw independently
    labels: dict[str, str] = {}
    while len(labels) < num_stories:
        text, label = draw_outcome_story(words, rng=rng)
        labels.setdefault(text, label)
    return [
        {"id": f"{world}-{seed}-{index}", "text": text, "label": label}
        for index, (text, label) in enumerate(labels.items())
    ]


def load_outcomes(
    *, num_train_samples: int, num_validation_samples: int, num_test_samples: int, seed: int
) -> DatasetDict:
    """Return the splits `train`, `validation` and `test`, each from its own world."""
    from datasets import Dataset, DatasetDict

    sizes = {"train": num_train_samples, "validation": num_validation_samples, "test": num_test_samples}
    return DatasetDict(
        {name: Dataset.from_list(generate_outcomes(size, seed=seed, world=name)) for name, size in sizes.items()}
    )


def draw_outcome_story(world: World, *, rng: random.Random) -> tuple[str, str]:
    """Return one story and its label, with all names and numbers drawn from `world`."""
    opening = rng.choice(OPENINGS).format(site=rng.choice(EVENT_KINDS).site, **draw_fillings(world, rng=rng))
    label, *other_labels = rng.sample(LABELS, k=len(LABELS))
    sentences = [
        _outcome_sentence(outcome, party, world=world, rng=rng)
        for outcome, party in zip(other_labels, rng.sample(OTHERS, k=len(OTHERS)), strict=True)
    ]
    place = len(sentences) if rng.random() < ENDS_ON_MAIN else rng.randrange(len(sentences))
    sentences.insert(place, _outcome_sentence(label, MAIN, world=world, rng=rng))
    return " ".join([f"{rng.choice(tuple(OUTLETS))} -", opening, *sentences]), label


def _outcome_sentence(outcome: str, party: str, *, world: World, rng: random.Random) -> str:
    """Return the outcome for one party, in one of the outcome's wordings."""
    return rng.choice(OUTCOMES[outcome]).format(party=party, number=rng.choice(world.numbers))
