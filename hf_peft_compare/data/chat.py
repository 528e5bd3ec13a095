"""Chat templates: prompts as the user's messages, answers and completion as the assistant's.

The tokenizer's own template is rendered once, around placeholders; an example's texts are put in their place. So only
the example's own text is truncated, and what it says is never read as a special token. The loss is that of the
assistant's turns alone: their texts, and the token that ends each.

A conversation has a plain template of its own, `PLAIN`, where the tokenizer has none or the study asks for text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import TemplateError

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features, Format, Turn
from hf_peft_compare.data.completions import beginning, completion_ids, prompt_ids, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_peft_compare.config.protocol import StudyProtocol

QUESTION, ANSWER = "\u2060question\u2060", "\u2060answer\u2060"  # placeholders that no template has
PROMPT_FORMATS = "prompt_format: text, or choose a tokenizer with a chat template"
RENDERING_ERRORS = (TemplateError, TypeError, ValueError)
PLAIN = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
    "{% elif m.role == 'user' %}User:\n{{ m.content }}\n\n"
    "{% else %}Assistant:\n{{ m.content }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)


class Gap(NamedTuple):
    """The tokens of a template before the text of an earlier turn.

    Args:
        turn: the number of the turn that follows.
        opening: those that belong to this turn, such as an empty thought.
    """

    turn: int
    ids: tuple[int, ...]
    opening: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The texts of a chat template around those of the turns.

    Args:
        gaps: before each earlier turn, in the template's order.
        before: text up to the question, from the last earlier turn.
        between: text from the question to the answer: the generation prompt.
        opening: text of the assistant's turn that stands before any answer, such as an empty thought; it is learned.
        end: the token that ends the assistant's turn.
    """

    gaps: tuple[Gap, ...]
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


def reads_turns(form: Format, config: StudyProtocol, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the prompts of a format are turns: those of a chat, or of conversations without a template too."""
    return form.conversation or is_chat(config, tokenizer)


def as_chat(form: Format, config: StudyProtocol) -> Format:
    """Return the format whose prompts are messages where the tokenizer has a template; without prompts, the same.

    Args:
        form: a format of prompts and completions. Conversations are messages in any case.
    """
    if form.prompt is None or (config.prompt_format == "text" and not form.conversation):
        return form
    encode_text, encode_text_prompt, solved = form.encode, form.encode_prompt, tuple(form.solved)
    parts, completion = form.prompt, form.completion
    assert encode_text_prompt is not None and completion is not None, "a format with prompts has both"

    def layout_for(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn]) -> Layout:
        roles = tuple(turn.role for turn in turns)
        return layout_of(tokenizer, roles, plain=not is_chat(config, tokenizer))

    def encode(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
        if not reads_turns(form, config, tokenizer):
            return encode_text(example, tokenizer, max_length)
        turns = turns_before(example, solved, config.system_prompt)
        layout = layout_for(tokenizer, turns)
        answer = token_ids(tokenizer, completion(example).strip(), special=False)
        ids = [*token_ids(tokenizer, layout.opening), *answer, tokenizer.eos_token_id]
        features = completion_ids(ids, example, lambda room: encode_prompt(example, tokenizer, room), max_length)
        return _with_loss_mask(features, tokenizer, layout, turns) if form.conversation else features

    def encode_prompt(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[int]:
        if not reads_turns(form, config, tokenizer):
            return encode_text_prompt(example, tokenizer, max_length)
        turns = turns_before(example, solved, config.system_prompt)
        layout = layout_for(tokenizer, turns)
        prefix, text, suffix = parts(example)
        wrapped = (layout.before + prefix.lstrip(), text, suffix.rstrip() + layout.between)
        before, _ = _earlier_ids(tokenizer, layout, turns)
        return prompt_ids(tokenizer, wrapped, max_length, special=False, before=before)

    key = [form.key, config.prompt_format, config.system_prompt, [astuple(turn) for turn in solved]]
    return replace(form, key=key, encode=encode, encode_prompt=encode_prompt)


def turns_before(example: Example, solved: Sequence[Turn], system_prompt: str | None) -> tuple[Turn, ...]:
    """Return the turns before an example's question: the system's, those of solved examples, and its own.

    An example's own system message takes the place of the study's.
    """
    earlier = example.earlier or ()
    own = earlier[:1] if earlier and earlier[0].role == "system" else ()
    study = () if own or system_prompt is None else (Turn(role="system", text=system_prompt),)
    return (*own, *study, *solved, *earlier[len(own) :])


@lru_cache(maxsize=16)  # solved examples and the system's message are the same for all examples of a run
def _earlier_ids(
    tokenizer: PreTrainedTokenizerBase, layout: Layout, turns: tuple[Turn, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens of the earlier turns, up to the last one's text, and their loss mask."""
    ids: list[int] = []
    mask: list[int] = []
    follows_learned = False
    for gap in layout.gaps:
        turn = turns[gap.turn]
        text = [*gap.opening, *token_ids(tokenizer, turn.text.strip(), special=False)]
        ids += [*gap.ids, *text]
        mask += [0] * len(gap.ids) + [int(turn.learned)] * len(text)
        if follows_learned and (end := tokenizer.eos_token_id) in gap.ids:
            mask[len(mask) - len(text) - len(gap.ids) + gap.ids.index(end)] = 1
        follows_learned = turn.learned
    return tuple(ids), tuple(mask)


def _with_loss_mask(
    features: Features, tokenizer: PreTrainedTokenizerBase, layout: Layout, turns: tuple[Turn, ...]
) -> Features:
    """Return the features with the learned turns as targets too, each with the token that ends it."""
    ids, num_targets = features["input_ids"], features["num_completion_tokens"]
    _, earlier = _earlier_ids(tokenizer, layout, turns)
    num_earlier = len(earlier)
    mask = [*earlier, *[0] * (len(ids) - num_earlier - num_targets), *[1] * num_targets]
    if layout.gaps and turns[layout.gaps[-1].turn].learned and layout.end in layout.before:
        mask[ids.index(tokenizer.eos_token_id, num_earlier)] = 1
    first = mask.index(1)
    return {**features, "num_completion_tokens": len(ids) - first, "loss_mask": mask[first:]}


@lru_cache(maxsize=256)
def layout_of(tokenizer: PreTrainedTokenizerBase, earlier: tuple[str, ...] = (), *, plain: bool = False) -> Layout:
    """Render a tokenizer's chat template around placeholders.

    Args:
        earlier: the roles of the turns before the question.
        plain: render `PLAIN` instead.

    Raises:
        UserError: the template does not render these messages, or has no generation prompt.
    """
    bos = "{{ bos_token }}" if beginning(tokenizer) else ""
    render = partial(render_turns, tokenizer, f"{bos}{PLAIN}" if plain else None)
    places = [f"\u2060{number}\u2060" for number in range(len(earlier))]
    messages = [{"role": role, "content": place} for place, role in zip(places, earlier, strict=True)]
    asked = [*messages, {"role": "user", "content": QUESTION}]
    try:
        prompt = render(asked, add_generation_prompt=True)
        open_end = render(asked)
        whole = render([*asked, {"role": "assistant", "content": ANSWER}])
    except RENDERING_ERRORS as error:
        roles = "system, user and assistant" if "system" in earlier else "user and assistant"
        raise _bad_template(tokenizer, f"does not render messages of {roles} ({error})") from None
    if any(prompt.count(place) != 1 for place in (*places, QUESTION)) or whole.count(ANSWER) != 1:
        raise _bad_template(tokenizer, "does not show each message once")
    if not whole.startswith(prompt):
        raise _bad_template(tokenizer, "renders an answer after another text than its generation prompt")
    opening, tail = whole[len(prompt) :].split(ANSWER)
    if prompt == open_end and opening.strip():
        raise _bad_template(tokenizer, "has no generation prompt, so a model would have to write the assistant's name")
    before, between = prompt.split(QUESTION)
    gaps, position = [], 0
    for place in re.finditer("|".join(places), before) if places else ():
        turn, begun = places.index(place[0]), ""
        if earlier[turn] == "assistant":
            with suppress(*RENDERING_ERRORS):  # a template may refuse a conversation that ends here
                begun = before[: place.start()].removeprefix(render(messages[:turn], add_generation_prompt=True))
        begun = "" if len(begun) > place.start() - position else begun  # it is rendered otherwise when it is last
        gap = before[position : place.start() - len(begun)]
        gaps.append(Gap(turn, tuple(token_ids(tokenizer, gap)), tuple(token_ids(tokenizer, begun))))
        position = place.end()
    end = _end_of(tokenizer, tail)
    return Layout(gaps=tuple(gaps), before=before[position:], between=between, opening=opening, end=end)


def render_turns(
    tokenizer: PreTrainedTokenizerBase,
    template: str | None,
    messages: Sequence[dict[str, str]],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """Return messages {role, content} as the text that a template makes of them; None: the tokenizer's own."""
    rendered = tokenizer.apply_chat_template(
        list(messages), chat_template=template, tokenize=False, add_generation_prompt=add_generation_prompt
    )
    return str(rendered)


def _end_of(tokenizer: PreTrainedTokenizerBase, tail: str) -> str:
    """Return the first special token after the answer, or else eos."""
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    ends = (number for number in token_ids(tokenizer, tail) if number in special)
    return str(tokenizer.convert_ids_to_tokens(next(ends, tokenizer.eos_token_id)))


def _bad_template(tokenizer: PreTrainedTokenizerBase, problem: str) -> UserError:
    return UserError(f"the chat template of {tokenizer.name_or_path} {problem}; set {PROMPT_FORMATS}.")
