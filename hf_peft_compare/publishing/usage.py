"""The Python code in a model's card that asks it one question, in the format that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.settings import defaults_of
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.chat import is_chat
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.inference.model_card import quote

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT = "The council met about the new bridge."
TEXT_PAIR = "Nobody spoke of a bridge."
NOT_PASSED = ("max_new_tokens", "temperature", "cache_implementation", "use_base_config")
ASK = """\
tokens = {tokens}
output = model.generate(
    input_ids=tokens["input_ids"],
    attention_mask=tokens["attention_mask"],
{settings}
)
print(tokenizer.decode(output[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True).strip())"""
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
    prompt = "".join(_parts(config, tokenizer, form.prompt(example)))
    lines = [_asking(config, tokenizer, prompt)]
    if form.candidates:
        likeliest = " or ".join(map(quote, form.candidates))
        lines.insert(0, f"# The study took the likeliest of {likeliest} in place of what is written here.")
    return "\n".join(lines)


def _parts(config: RunConfig, tokenizer: PreTrainedTokenizerBase, parts: tuple[str, str, str]) -> tuple[str, str, str]:
    """Return the parts of a prompt as the run joined them; a chat's message has no space around it."""
    before, text, after = parts
    return (before.lstrip(), text, after.rstrip()) if is_chat(config, tokenizer) else parts


def _asking(config: RunConfig, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    if is_chat(config, tokenizer):
        system = [] if config.system_prompt is None else [{"role": "system", "content": config.system_prompt}]
        messages = [*system, {"role": "user", "content": prompt}]
        shown = ", ".join(
            f'{{"role": {quote(turn["role"])}, "content": {quote(turn["content"])}}}' for turn in messages
        )
        template = "add_generation_prompt=True, return_dict=True, return_tensors"
        tokens = f'tokenizer.apply_chat_template([{shown}], {template}="pt")'
    else:
        tokens = f'tokenizer({quote(prompt)}, return_tensors="pt")'
    return ASK.format(tokens=tokens, settings="\n".join(f"    {line}," for line in _settings(config.generation)))


def _settings(generation: GenerationConfig) -> list[str]:
    """Return the arguments of `generate`: those that every run sets, and what this one set otherwise."""
    usual = defaults_of(GenerationConfig)
    own = {key: value for key, value in asdict(generation).items() if key not in NOT_PASSED and value != usual[key]}
    hot = generation.temperature is not None
    sampled = {"do_sample": True, "temperature": generation.temperature, "top_k": 0} if hot else {"do_sample": False}
    # The generation configs of some bases have a penalty, which the run did without.
    plain = {} if generation.use_base_config else {"repetition_penalty": generation.repetition_penalty}
    passed = {"max_new_tokens": generation.max_new_tokens, **sampled, **plain, **own}
    return [
        *(f"{key}={value!r}" for key, value in passed.items()),
        "pad_token_id=tokenizer.pad_token_id",
        "eos_token_id=tokenizer.eos_token_id",
    ]


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
