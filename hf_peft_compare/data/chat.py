"""Chat templates: prompts as the user's messages, answers and completion as the assistant's.

The tokenizer's own template is rendered once, around placeholders; an example's texts are put in their place. So only
the example's own text is truncated, and what it says is never read as a special token. The loss is that of the
assistant's turn alone: its text, and the token that ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, cycle
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features, Format
from hf_peft_compare.data.completions import completion_ids, prompt_ids, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_peft_compare.config.protocol import StudyProtocol

QUESTION, ANSWER = "\u2060question\u2060", "\u2060answer\u2060"  # placeholders that no template has
PROMPT_FORMATS = "prompt_format: text, or choose a tokenizer with a chat template"


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The texts of a chat template around the question and the answer.

    Args:
        solved: tokens of the turns of solved examples, and of all before them.
        before: text up to the question, with the system message if there is no solved example.
        between: text from the question to the answer: the generation prompt.
        opening: text of the assistant's turn that stands before any answer, such as an empty thought; it is learned.
        end: the token that ends the assistant's turn.
    """

    solved: Sequence[int]
    before: str
    between: str
    opening: str
    end: str


def is_chat(config: StudyProtocol, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the prompts of a run are messages of a chat.

    Raises:
        UserError: the study asks for a chat, or has a system prompt, but the tokenizer has no template.
    """
    has_template = bool(tokenizer.chat_template)
    asked = "prompt_format: chat" if config.prompt_format == "chat" else "a system_prompt"
    if not has_template and (config.prompt_format == "chat" or config.system_prompt is not None):
        raise UserError(
            f"the study has {asked}, but the tokenizer of {tokenizer.name_or_path} has no chat template; set "
            f"{PROMPT_FORMATS} (instruct models have one)."
        )
    return has_template and config.prompt_format != "text"


def as_chat(form: Format, config: StudyProtocol) -> Format:
    """Return the format whose prompts are messages where the tokenizer has a template; without prompts, the same.

    Args:
        form: a format of prompts and completions.
    """
    if form.prompt is None or config.prompt_format == "text":
        return form
    encode_text, encode_text_prompt, solved = form.encode, form.encode_prompt, tuple(form.solved)
    parts, completion = form.prompt, form.completion
    assert encode_text_prompt is not None and completion is not None, "a format with prompts has both"

    def encode(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
        if not is_chat(config, tokenizer):
            return encode_text(example, tokenizer, max_length)
        turns = turns_of(tokenizer, config.system_prompt, solved)
        answer = token_ids(tokenizer, completion(example).strip(), special=False)
        ids = [*token_ids(tokenizer, turns.opening), *answer, tokenizer.eos_token_id]
        return completion_ids(ids, example, lambda room: encode_prompt(example, tokenizer, room), max_length)

    def encode_prompt(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[int]:
        if not is_chat(config, tokenizer):
            return encode_text_prompt(example, tokenizer, max_length)
        turns = turns_of(tokenizer, config.system_prompt, solved)
        prefix, text, suffix = parts(example)
        wrapped = (turns.before + prefix.lstrip(), text, suffix.rstrip() + turns.between)
        return prompt_ids(tokenizer, wrapped, max_length, special=False, before=turns.solved)

    key = [form.key, config.prompt_format, config.system_prompt]
    return replace(form, key=key, encode=encode, encode_prompt=encode_prompt)


@lru_cache(maxsize=8)
def turns_of(
    tokenizer: PreTrainedTokenizerBase, system_prompt: str | None, solved: Sequence[tuple[str, str]] = ()
) -> Turns:
    """Render a tokenizer's chat template around placeholders.

    Args:
        solved: question and answer of each turn before the question.

    Raises:
        UserError: the template does not render these messages, or has no generation prompt.
    """
    system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
    texts = {f"\u2060{place}\u2060": text.strip() for place, text in enumerate(chain.from_iterable(solved))}
    earlier = [{"role": role, "content": place} for place, role in zip(texts, cycle(("user", "assistant")))]
    asked = [*system, *earlier, {"role": "user", "content": QUESTION}]
    try:
        prompt = _render(tokenizer, asked, add_generation_prompt=True)
        open_end = _render(tokenizer, asked)
        whole = _render(tokenizer, [*asked, {"role": "assistant", "content": ANSWER}])
    except (TemplateError, TypeError, ValueError) as error:
        messages = "system, user and assistant" if system else "user and assistant"
        raise _bad_template(tokenizer, f"does not render messages of {messages} ({error})") from None
    if any(prompt.count(place) != 1 for place in (*texts, QUESTION)) or whole.count(ANSWER) != 1:
        raise _bad_template(tokenizer, "does not show each message once")
    if not whole.startswith(prompt):
        raise _bad_template(tokenizer, "renders an answer after another text than its generation prompt")
    opening, tail = whole[len(prompt) :].split(ANSWER)
    if prompt == open_end and opening.strip():
        raise _bad_template(tokenizer, "has no generation prompt, so a model would have to write the assistant's name")
    before, between = prompt.split(QUESTION)
    *parts, before = re.split(f"({'|'.join(texts)})", before) if texts else [before]
    tokens = (token_ids(tokenizer, texts.get(part, part), special=part not in texts) for part in parts)
    end = _end_of(tokenizer, tail)
    return Turns(solved=[*chain.from_iterable(tokens)], before=before, between=between, opening=opening, end=end)


def _render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = False
) -> str:
    rendered = tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
    )
    return str(rendered)


def _end_of(tokenizer: PreTrainedTokenizerBase, tail: str) -> str:
    """Return the first special token after the answer, or else eos."""
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    ends = (number for number in token_ids(tokenizer, tail) if number in special)
    return str(tokenizer.convert_ids_to_tokens(next(ends, tokenizer.eos_token_id)))


def _bad_template(tokenizer: PreTrainedTokenizerBase, problem: str) -> UserError:
    return UserError(f"the chat template of {tokenizer.name_or_path} {problem}; set {PROMPT_FORMATS}.")
