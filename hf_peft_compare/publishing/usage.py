"""The Python code in a model's card that asks it one question, in the format that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.task import Example, Format
from hf_peft_compare.data.chat import PLAIN, is_chat, render_turns
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.evaluation.generation import arguments_of
from hf_peft_compare.inference.model_card import quote
from hf_peft_compare.models.heads import head_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT = "The council met about the new bridge."
TEXT_PAIR = "Nobody spoke of a bridge."
ASK = """\
tokens = {tokens}
output = model.generate(
    input_ids=tokens["input_ids"],
    attention_mask=tokens["attention_mask"],
{settings}
)
print(tokenizer.decode({written}, skip_special_tokens=True).strip())"""
WITHOUT_OWN = """\
from transformers import GenerationConfig

own = model.generation_config  # which took no part in the study, but for the token that a decoder starts with
own.update(**{**GenerationConfig().to_dict(), "decoder_start_token_id": own.decoder_start_token_id})"""
NOT_PASSED = ("cache_implementation",)  # the text is the same with any
CLASSIFY = """\
import torch

tokens = tokenizer({texts}, truncation=True, max_length={length}, return_tensors="pt")
with torch.no_grad():
    logits = model({inputs}).logits
print({labels}[int(logits.argmax())])"""


def usage_code(config: RunConfig, tokenizer: PreTrainedTokenizerBase, *, labels: Sequence[str] | None) -> str:
    """Return code that prints what `model` predicts of a text, given `model` and `tokenizer`; empty: it reads no text.

    Args:
        tokenizer: the exported one.
        labels: the classes of a class head, in order; None: the model writes.
    """
    if config.task_type.name == "visual_question_answering":
        return ""
    columns = config.task_type.text_columns(config.task_settings)
    example = Example(id="0", source=TEXT, source_pair=TEXT_PAIR if len(columns) > 1 else None, reference="")
    if labels is not None:
        return _classifying(config, tokenizer, example, labels)
    form = format_of(config, [])
    if form.prompt is None:
        return ""
    lines = [_asking(config, tokenizer, form, example)]
    if form.candidates:
        likeliest = " or ".join(map(quote, form.candidates))
        lines.insert(0, f"# The study took the likeliest of {likeliest} in place of what is written here.")
    if not config.generation.use_base_config:
        lines.insert(0, f"{WITHOUT_OWN}\n")
    return "\n".join(lines)


def _asking(config: RunConfig, tokenizer: PreTrainedTokenizerBase, form: Format, example: Example) -> str:
    settings = [f"{key}={value!r}" for key, value in arguments_of(config.generation).items() if key not in NOT_PASSED]
    settings += ["pad_token_id=tokenizer.pad_token_id", "eos_token_id=tokenizer.eos_token_id"]
    return ASK.format(
        tokens=_tokenizing(config, tokenizer, form, example),
        settings="\n".join(f"    {line}," for line in settings),
        written="output[0]" if head_of(config).reads_apart else 'output[0, tokens["input_ids"].shape[1] :]',
    )


def _tokenizing(config: RunConfig, tokenizer: PreTrainedTokenizerBase, form: Format, example: Example) -> str:
    """Return the call that makes the tokens of a prompt, as the run made them."""
    assert form.prompt is not None, "checked before"
    before, text, after = form.prompt(example)
    chat = is_chat(config, tokenizer)
    prompt = f"{before}{text}{after}"
    if chat or form.conversation:  # a message has no space around it
        system = [] if config.system_prompt is None else [{"role": "system", "content": config.system_prompt}]
        messages = [*system, {"role": "user", "content": f"{before.lstrip()}{text}{after.rstrip()}"}]
        if chat:
            shown = json.dumps(messages, ensure_ascii=False)
            template = "add_generation_prompt=True, return_dict=True, return_tensors"
            return f'tokenizer.apply_chat_template({shown}, {template}="pt")'
        prompt = render_turns(tokenizer, PLAIN, messages, add_generation_prompt=True)
    return f'tokenizer({quote(prompt)}, return_tensors="pt")'


def _classifying(config: RunConfig, tokenizer: PreTrainedTokenizerBase, example: Example, labels: Sequence[str]) -> str:
    texts = [example.source, *([example.source_pair] if example.source_pair else [])]
    reads_pairs = tokenizer.cls_token_id is not None
    names = "**tokens" if reads_pairs else 'input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]'
    return CLASSIFY.format(
        texts=", ".join(map(quote, texts if reads_pairs else ["\n".join(texts)])),
        length=config.max_text_length,
        inputs=names,
        labels=f"[{', '.join(map(quote, labels))}]",
    )
