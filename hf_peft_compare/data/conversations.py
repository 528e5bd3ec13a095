"""Conversations: rows of messages, or of a prompt and its completion, as examples.

The columns are those that TRL reads. The last assistant's turn is the reference, the user's before it the source, and
whatever comes before these the earlier turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError, shorten
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Turn
from hf_peft_compare.data.columns import check_columns, row_ids

if TYPE_CHECKING:
    from datasets import Dataset

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
ROLES = (SYSTEM, USER, ASSISTANT)
REMOVE = "Mend or remove such rows."


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConversationSettings:
    """The columns of conversations.

    Args:
        messages_column: the column of conversations, each a list of messages {role, content}; roles are system, user
            and assistant. None: there is none, or it is not to be read.
        prompt_column, completion_column: the columns of prompts and of their completions, texts or lists of messages,
            if there is no column of conversations. None in place of the prompt's: there is none.
        id_column: a column of row ids; if it is missing or None, rows are numbered.
    """

    messages_column: str | None = "messages"
    prompt_column: str | None = "prompt"
    completion_column: str = "completion"
    id_column: str | None = "id"


def read_conversations(dataset: Dataset, settings: ConversationSettings) -> list[Example]:
    """Read the conversations of a split.

    All of the assistant's turns of `messages` are learned; of a prompt and its completion, those of the completion.

    Raises:
        UserError: the columns do not say where the conversations are, or a row is no conversation that ends with the
            user's and the assistant's turn.
    """
    messages, prompt, completion = settings.messages_column, settings.prompt_column, settings.completion_column
    names = dataset.column_names
    given = [column for column in (messages, prompt) if column is not None and column in names]
    if len(given) != 1:
        both = "both {!r} and {!r}" if given else "neither {!r} nor {!r}"
        advice = "the one that is not to be read to null" if given else "one of them to the column that has them"
        raise UserError(
            f"the dataset has {both.format(messages, prompt)}; its columns are {', '.join(names)}. "
            f"Expected one column of conversations: set task.messages_column or task.prompt_column, {advice}."
        )
    ids, first = row_ids(dataset, settings.id_column), dataset[given[0]]
    if given[0] == messages:
        return [_example(i, _learned(_turns(value, messages, i))) for i, value in zip(ids, first, strict=True)]
    check_columns(dataset, settings, ("completion_column",))
    examples = []
    for i, question, answer in zip(ids, first, dataset[completion], strict=True):
        asked = _turns(question, given[0], i, role=USER)
        answered = _turns(answer, completion, i, role=ASSISTANT)
        examples.append(_example(i, [*asked, *_learned(answered)]))
    return examples


def _turns(value: object, column: str, row: str, *, role: str | None = None) -> list[Turn]:
    """Return the messages of a row.

    Args:
        role: of a plain text; None: it must be a list of messages.
    """
    where = f"column {column!r} of row {row}"
    if isinstance(value, str) and role is not None:
        return [Turn(role=role, text=_text(value, where))]
    expected = "a list of messages {role, content}" + (" or a text" if role else "")
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        found = "empty" if not value else f"{shorten(repr(value), 100)}"
        raise UserError(f"{where} is {found}; expected {expected}. {REMOVE}")
    return [_turn(message, f"message {number} of {where}", expected) for number, message in enumerate(value, start=1)]


def _turn(message: object, where: str, expected: str) -> Turn:
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise UserError(f"{where} is {shorten(repr(message), 100)}; expected {expected}. {REMOVE}")
    role = message["role"]
    if role not in ROLES:
        content = shorten(repr(message["content"]), 60)
        expected = f"{', '.join(ROLES[:-1])} or {ROLES[-1]}"
        raise UserError(f"{where}, {content}, has the role {role!r}; expected {expected}. {REMOVE}")
    return Turn(role=str(role), text=_text(message["content"], where))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "empty" if not value or isinstance(value, str) else shorten(repr(value), 100)
        raise UserError(f"{where} is {found}; expected text. {REMOVE}")
    return value.strip()


def _learned(turns: Sequence[Turn]) -> list[Turn]:
    return [replace(turn, learned=turn.role == ASSISTANT) for turn in turns]


def _example(row: str, turns: Sequence[Turn]) -> Example:
    """Return a conversation as an example; raise UserError unless it ends with the user's and the assistant's turn."""
    roles = [turn.role for turn in turns]
    problem = None
    if ASSISTANT not in roles:
        problem = "has no assistant's turn, so there is nothing to learn or to score"
    elif roles[-1] != ASSISTANT:
        problem = f"ends with the {roles[-1]}'s turn; expected the assistant's, which is what is scored"
    elif roles[-2:-1] != [USER]:
        found = f"the {roles[-2]}'s" if len(roles) > 1 else "no"
        problem = f"has {found} turn before its last; expected the user's, which it answers"
    elif SYSTEM in roles[1:]:
        problem = f"has a system message as its message {roles.index(SYSTEM, 1) + 1}; expected it first or not at all"
    if problem is not None:
        begins = shorten(turns[0].text, 60)  # rows that are numbered are so after they were shuffled
        raise UserError(f"the conversation of row {row} ({', '.join(roles)}) {problem}. It begins {begins!r}. {REMOVE}")
    *earlier, asked, answered = turns
    return Example(id=row, source=asked.text, reference=answered.text, earlier=tuple(earlier) or None)
