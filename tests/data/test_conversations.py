"""Conversations: what TRL reads is read here, and what is no conversation is refused by its row."""

import datasets
import pytest
from conversations import messages

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Turn
from hf_peft_compare.data.conversations import ConversationSettings, read_conversations


def read(*rows, **columns):
    return read_conversations(datasets.Dataset.from_list(list(rows)), ConversationSettings(**columns))


ASKED = [("user", "2 + 3?"), ("assistant", " 5 "), ("user", "Times 4?"), ("assistant", "20")]


def test_all_turns_of_the_assistant_are_learned_and_the_last_one_is_the_reference():
    (example,) = read({"messages": messages(("system", "Be brief."), *ASKED)})
    assert (example.id, example.source, example.reference) == ("0", "Times 4?", "20")
    assert example.earlier == (
        Turn(role="system", text="Be brief."),
        Turn(role="user", text="2 + 3?"),
        Turn(role="assistant", text="5", learned=True),
    )
    assert not any(turn.learned for turn in example.scored.earlier)
    assert example.texts == ("Be brief.", "2 + 3?", "5", "Times 4?", "")


def test_a_single_turn_has_nothing_before_it():
    (example,) = read({"id": 7, "messages": messages(*ASKED[:2])})
    assert (example.id, example.earlier, example.scored) == ("7", None, example)


def test_of_a_prompt_and_its_completion_the_completion_alone_is_learned():
    texts, lists = (
        read({"prompt": "2 + 3?", "completion": "5"})[0],
        read({"prompt": messages(*ASKED[:3]), "completion": messages(ASKED[3])})[0],
    )
    assert (texts.source, texts.reference, texts.earlier) == ("2 + 3?", "5", None)
    assert (lists.source, lists.reference) == ("Times 4?", "20")
    assert [turn.learned for turn in lists.earlier] == [False, False]
    (longer,) = read({"prompt": messages(ASKED[0]), "completion": messages(*ASKED[1:])})
    assert [turn.learned for turn in longer.earlier] == [False, True]


def test_columns_may_have_other_names():
    (example,) = read({"q": "2 + 3?", "a": "5"}, prompt_column="q", completion_column="a")
    assert (example.source, example.reference) == ("2 + 3?", "5")


def test_two_columns_of_conversations_are_refused_until_one_is_named():
    row = {"messages": messages(*ASKED), "prompt": "2 + 3?", "completion": "5"}
    with pytest.raises(
        UserError, match=r"has both 'messages' and 'prompt'.*prompt_column, the one that is not to be read to null"
    ):
        read(row)
    assert read(row, prompt_column=None)[0].reference == "20"
    assert read(row, messages_column=None)[0].reference == "5"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "x"}, "has neither 'messages' nor 'prompt'; its columns are text"),
        ({"prompt": "x"}, "no column 'completion'; it has prompt. Set task.completion_column"),
        ({"messages": "hello"}, "'messages' of row 0 is 'hello'; expected a list of messages {role, content}"),
        ({"messages": None}, "'messages' of row 0 is empty"),
        ({"messages": ["hi"]}, "message 1 of column 'messages' of row 0 is 'hi'"),
        ({"messages": messages(("user", "x"))}, r"row 0 \(user\) has no assistant's turn"),
        ({"messages": messages(*ASKED[:3])}, r"\(user, assistant, user\) ends with the user's turn; expected the ass"),
        ({"messages": messages(ASKED[1])}, r"row 0 \(assistant\) has no turn before its last; expected the user's"),
        ({"messages": messages(*ASKED[:2], ASKED[1])}, "has the assistant's turn before its last"),
        ({"messages": messages(ASKED[0], ("system", "x"), *ASKED[:2])}, "a system message as its message 2"),
        ({"messages": messages(("tool", "x"), *ASKED)}, "message 1 .* has the role 'tool'; expected system, user or a"),
        ({"messages": messages(("user", " "), ASKED[1])}, "message 1 of column 'messages' of row 0 is empty"),
        ({"messages": [{"role": "user", "content": None}]}, "message 1 .* is empty; expected text"),
        ({"prompt": "x", "completion": " "}, "column 'completion' of row 0 is empty; expected text"),
        (
            {"prompt": "x", "completion": 5},
            "column 'completion' of row 0 is 5; expected a list of messages.* or a text",
        ),
    ],
)
def test_what_is_no_conversation_is_one_error_with_its_row(row, words):
    with pytest.raises(UserError, match=words):
        read(row)
