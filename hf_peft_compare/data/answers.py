"""Answers: parse a generated text as one of a few expected answers.

The rules, in order:

1. Only the first non-empty line counts; anything the model writes after it is ignored.
2. Case, punctuation and quotes do not matter, and the answer may be anywhere in the line: "I think it is TRUE." is
   "true". Answers are whole words: "untrue" is not "true". An answer within a longer one ("true" in "not true", if both
   are answers) does not count.
3. A line is not an answer if it has answers of two labels, if it has none, or if it negates its only answer ("not
   true", "isn't true").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NO_ANSWER = "no answer"
DENIALS = {"not", "isn't", "never", "hardly"}
WORD = re.compile(r"\w+(?:['’]\w+)*")


def read_answer(text: str, answers: Mapping[str, Sequence[str]]) -> str:
    """Return the label that a text answers with; NO_ANSWER if there is none, or more than one.

    Args:
        answers: {label: its answers}, each one word or several.
    """
    words = words_of(next((line for line in text.splitlines() if line.strip()), ""))
    found = _find(words, answers)
    given = {label for label, _ in found}
    denied = any(words[start - 1] in DENIALS for _, start in found if start > 0)
    return given.pop() if len(given) == 1 and not denied else NO_ANSWER


def words_of(text: str) -> tuple[str, ...]:
    """Return the words by which an answer is found in a line."""
    return tuple(word.lower().replace("’", "'") for word in WORD.findall(text))


def _find(words: tuple[str, ...], answers: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
    """Return every answer in a line as (label, start position), the longest one if several overlap."""
    spellings = [(label, words_of(spelling)) for label, several in answers.items() for spelling in several]
    taken: set[int] = set()
    found = []
    for label, spelling in sorted(spellings, key=lambda item: -len(item[1])):
        for start in range(len(words) - len(spelling) + 1):
            places = set(range(start, start + len(spelling)))
            if spelling and words[start : start + len(spelling)] == spelling and not places & taken:
                taken |= places
                found.append((label, start))
    return found
