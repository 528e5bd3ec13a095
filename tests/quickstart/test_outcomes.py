"""The labelled news means what it says: no count of its words tells a label, and who stands where does."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

import pytest

from hf_peft_compare.quickstart import load_outcomes
from hf_peft_compare.quickstart.outcomes import LABELS, MAIN, OPENINGS, OTHERS, OUTCOMES, generate_outcomes

WORLDS = ("train", "validation", "test")


def words_of(text):
    return re.findall(r"[a-z]+|\d+", text.lower())


def sentences_of(text):
    """The sentences after the opening."""
    return re.findall(r"[^.]+\.", text)[1:]


def naive_bayes(train, features):
    """A multinomial naive Bayes with add-one smoothing over whatever `features` counts."""
    counts, labels = defaultdict(Counter), Counter(row["label"] for row in train)
    for row in train:
        counts[row["label"]].update(features(row["text"]))
    vocabulary = {feature for counter in counts.values() for feature in counter}

    def classify(text):
        def score(label):
            total = counts[label].total() + len(vocabulary)
            known = [feature for feature in features(text) if feature in vocabulary]
            return math.log(labels[label]) + sum(math.log((counts[label][f] + 1) / total) for f in known)

        return max(labels, key=score)

    return classify


def accuracy(classify, rows):
    return sum(classify(row["text"]) == row["label"] for row in rows) / len(rows)


@pytest.fixture(scope="module")
def train():
    return generate_outcomes(1_200, seed=0, world="train")


@pytest.fixture(scope="module")
def test():
    return generate_outcomes(600, seed=0, world="test")


def test_counting_words_stays_at_chance(train, test):
    chance, error = 1 / len(LABELS), math.sqrt((1 / 3) * (2 / 3) / len(test))
    assert abs(accuracy(naive_bayes(train, words_of), test) - chance) < 3 * error


def test_the_same_counting_finds_the_label_where_it_is_told_who_stands_where(train, test):
    """So the test above is no weakness of its classifier."""

    def words_of_main(text):
        [told] = [sentence for sentence in sentences_of(text) if MAIN in sentence]
        return words_of(told)

    assert accuracy(naive_bayes(train, words_of_main), test) > 0.95


def test_the_opening_gives_nothing_away(train, test):
    def opening(text):
        return words_of(text[: text.index(sentences_of(text)[0])])

    assert accuracy(naive_bayes(train, opening), test) < 0.42


def test_the_last_sentence_tells_more_than_chance_and_far_from_all(train, test):
    last = accuracy(naive_bayes(train, lambda text: words_of(sentences_of(text)[-1])), test)
    assert 0.5 < last < 0.7


def test_every_story_tells_every_outcome_once_and_one_of_them_of_the_dealer(test):
    forms = {
        label: [re.compile(re.escape(f).replace(r"\{party\}", r"(\w+)").replace(r"\{number\}", r"\d+")) for f in told]
        for label, told in OUTCOMES.items()
    }
    for row in test[:100]:
        found = {
            label: [match[1] for form in several for match in form.finditer(row["text"])]
            for label, several in forms.items()
        }
        assert sorted(party for parties in found.values() for party in parties) == sorted([MAIN, *OTHERS])
        assert found[row["label"]] == [MAIN]


def test_classes_are_nearly_even_and_wordings_all_occur(train):
    shares = [number / len(train) for number in Counter(row["label"] for row in train).values()]
    assert len(shares) == len(LABELS) and 0.28 < min(shares) and max(shares) < 0.39
    text = " ".join(row["text"] for row in train)
    for form in (*OPENINGS, *(form for told in OUTCOMES.values() for form in told)):
        assert re.search(re.sub(r"\\{\w+\\}", r"[\\w ]+", re.escape(form)), text), form


def test_same_seed_same_stories_and_other_seed_others():
    first = generate_outcomes(20, seed=1, world="train")
    assert generate_outcomes(30, seed=1, world="train")[:20] == first
    assert generate_outcomes(20, seed=2, world="train") != first


def test_splits_are_whole_and_share_no_story():
    splits = load_outcomes(num_train_samples=8, num_validation_samples=4, num_test_samples=5, seed=3)
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "validation": 4, "test": 5}
    assert all(split.column_names == ["id", "text", "label"] for split in splits.values())
    texts = [text for name in WORLDS for text in splits[name]["text"]]
    assert len(set(texts)) == len(texts)


def test_numbers_of_two_worlds_differ(train, test):
    """So no figure of a test story was seen with a label in training."""
    assert not {w for row in train for w in words_of(row["text"]) if w.isdigit()} & {
        w for row in test for w in words_of(row["text"]) if w.isdigit()
    }
