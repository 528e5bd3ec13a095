"""Answers: what a generated text is taken for, where one of a few answers was asked for.

The rule, in order:

1. The first line that is not empty counts; what a model goes on writing after it does not.
2. Case, punctuation and quotes do not matter, and the answer may stand anywhere in the line: "I think it is TRUE." is
   "true". Answers are whole words: "untrue" is not "true". An answer within a longer one ("true" in "not true", if both
   are answers) does not count.
3. A line with the answers of two labels is no answer, and so is one without any, and one that denies its only answer
   ("not true", "isn't true").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NO_ANSWER = "no answer"
DENIALS = {"not", "isn't", "never", "hardly"}
WORD = re.compile(r"\w+(?:['’]\w+)*")


def read_answer(text: str, answers: Mapping[str, Sequence[str]]) -> str:
    """Read a text as one of the labels; NO_ANSWER where it gives none, or two.

    Args:
        answers: {label: its answers}, each one word or several.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    words = [word.lower().replace("’", "'") for word in WORD.findall(line)]
    found = _find(words, answers)
    given = {label for label, _ in found}
    denied = any(words[start - 1] in DENIALS for _, start in found if start > 0)
    return given.pop() if len(given) == 1 and not denied else NO_ANSWER


def _find(words: Sequence[str], answers: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
    """Find every answer in a line as (label, where it begins), the longest one where they overlap."""
    spellings = [
        (label, tuple(word.lower() for word in WORD.findall(spelling)))
        for label, several in answers.items()
        for spelling in several
    ]
    taken: set[int] = set()
    found = []
    for label, spelling in sorted(spellings, key=lambda item: -len(item[1])):
        for start in range(len(words) - len(spelling) + 1):
            places = set(range(start, start + len(spelling)))
            if spelling and tuple(words[start : start + len(spelling)]) == spelling and not places & taken:
                taken |= places
                found.append((label, start))
    return found
