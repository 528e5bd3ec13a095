"""What each type of peft does on tiny models, as the table of the documentation.

    python -m tools.peft_types > docs/reference/peft-types.md

A type is built, trained for a step, saved, loaded with equal outputs, merged where it can be, and planned on the meta
device; below stand the learning rates. tests/tools/test_peft_types.py holds both tables.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress

import yaml
from peft import PeftType

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Value
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.core.settings import parse_settings
from hf_peft_compare.methods.peft_rules import rule_of
from hf_peft_compare.testing import Case, check_merging, check_on_meta, check_saving, check_trainables
from hf_peft_compare.utils.markdown import table

ARCHITECTURES = {"gpt2": "GPT-2", "llama": "Llama", "bert": "BERT, class head", "t5": "T5"}
# What a type must be told, or is too large for a model of width 32.
SETTINGS: Mapping[str, dict[str, Value]] = {
    "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 1},
    "C3A": {"block_size": 16},
    "CARTRIDGE": {"num_virtual_tokens": 4},
    "CPT": {"cpt_token_ids": [1, 2, 3], "cpt_mask": [1, 1, 1], "cpt_tokens_type_mask": [1, 2, 3]},
    "FROD": {"save_projection": False, "progressbar": False},
    "MISS": {"r": 4},
    "MULTITASK_PROMPT_TUNING": {"num_virtual_tokens": 4},
    "PREFIX_TUNING": {"num_virtual_tokens": 4},
    "PROMPT_TUNING": {"num_virtual_tokens": 4},
    "PVERA": {"save_projection": False},
    "P_TUNING": {"num_virtual_tokens": 4, "encoder_hidden_size": 8},
    "RANDLORA": {"save_projection": False},
    "ROAD": {"group_size": 16},
    "SHIRA": {"r": 4},
    "TRAINABLE_TOKENS": {"token_indices": [5, 6, 7]},
    "VBLORA": {"vector_length": 16, "num_vectors": 32},
    "VERA": {"save_projection": False},
    "WAVEFT": {"n_frequency": 256},
}
HEAD = """# peft's types

Any of them is a row of a study: `{peft_type: NAME, …}`, with the fields of its config class in peft. Here each stands
as it behaves on tiny models with its default target modules: it is built, trained for a step, saved, and loaded with
equal outputs, merged where it can be, and planned before any weight is there. "refused" means one error before
anything runs, with the reason that is given.

LORA can start elsewhere than at zero: `init_lora_weights: pissa` or `olora` from the weights themselves, `corda` and
`eva` from what the layers read in train texts, `lora_ga` from the gradient on them. But for EVA, the start is taken out
of the base. An adapter that is saved like that needs the changed base; a run saves a plain LoRA of twice the rank
instead, which scores the same on the base as it is.
"""
RATES_HEAD = """
## Learning rates

A row without a learning rate of its own starts at that of its type, and a search with a budget tunes over the range,
three orders of magnitude around it. The study, the row and the command line override it. All other types start at
1e-3, and are tuned over 1e-4 to 1e-1. What a class head adds is trained at the same rate.
"""


def outcome(peft_type: str, architecture: str) -> tuple[str, str]:
    """Return what happens to a peft type on a tiny model, and if it is refused, why.

    Raises:
        AssertionError: it is neither refused nor holds the contract of methods.
    """
    settings: dict[str, Value] = {"peft_type": peft_type, **SETTINGS.get(peft_type, {})}
    case = Case("peft", settings, architecture)
    try:
        case.model()
    except (UserError, AssertionError) as error:
        return "refused", _reason(str(error))
    for check in (check_trainables, check_saving, check_merging, check_on_meta):
        check(case)
    with suppress(UserError):
        case.type.merge(case.tuned())
        return "trains, merges", ""
    return "trains", ""


def _reason(message: str) -> str:
    """Return the part of an error that says why, as a sentence."""
    if "Conv1D" in message:  # each type has its own words for it
        return "It does not adapt GPT-2's layers, which are Conv1D."
    reason = message.split("Error: ")[-1].split(" is not supported: ")[-1].split(" The model's linear layers")[0]
    reason = re.sub(r"^(method [^:]*: )*", "", reason).split(". ")[0].strip(" .")
    return f"{reason[0].upper()}{reason[1:]}."


def types_table(peft_types: Iterable[str]) -> str:
    """Return the table in Markdown: one row per type, one column per architecture."""
    rows = []
    for peft_type in peft_types:
        outcomes = [outcome(peft_type, architecture) for architecture in ARCHITECTURES]
        rule = rule_of(peft_type, {})
        notes = [reason for _, reason in outcomes if reason] + ([(rule.__doc__ or "").split("\n")[0]] if rule else [])
        rows.append([f"`{peft_type}`", *(word for word, _ in outcomes), " ".join(dict.fromkeys(notes))])
    return table(["type", *ARCHITECTURES.values(), ""], rows) + "\n"


def rates_table() -> str:
    """Return the table of learning rates in Markdown: what settings decide, whose rate it is, and when to take it."""
    peft = get_method("peft")
    rows = []
    for text, rate in peft.rates.items():
        title, card = peft.variant(parse_settings(peft.settings, yaml.safe_load(text), text)) or ("", None)
        when = "" if card is None else f"{title}: {card.when_to_use.split('. ')[0].rstrip('.')}."
        span = f"{rate.range.low:g} to {rate.range.high:g}"
        rows.append([f"`{text[1:-1]}`", f"{rate.value:g}", span, rate.source, when])
    return table(["settings", "default", "tuned over", "by", "when to take it"], rows) + "\n"


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    print(f"{HEAD}\n{types_table(sorted(kind.value for kind in PeftType))}{RATES_HEAD}\n{rates_table()}", end="")
