"""Default learning rates of peft's types, each with who found it good; all others take that of the method `peft`.

A published rate is one that a paper or peft itself trains with. peft's comparison of methods trains most types at 1e-4,
whatever suits them; it counts here where it gives a type a rate of its own. C3A is left out: its published rate, .3, is
for the adapter with the class head at 4e-6, and here both are trained at one rate.
"""

from __future__ import annotations

from collections.abc import Mapping

from hf_peft_compare.core.method import Rate
from hf_peft_compare.methods.lora_starts import by_start

COMPARISON = "peft's comparison of methods on MetaMathQA"
RATES: Mapping[str, Rate] = {
    "ADALORA": Rate(1e-3, "peft's example; Zhang et al. (2023) have 5e-4 to 2.2e-3 on GLUE"),
    "ADAPTION_PROMPT": Rate(5e-3, f"{COMPARISON}; Zhang et al. (2023), LLaMA-Adapter, have 9e-3"),
    "BEFT": Rate(8e-3, "peft's example"),
    "DELORA": Rate(3e-3, "peft's example, which advises 10 to 100 times LoRA's"),
    "FOURIERFT": Rate(6e-2, "peft's example, which trains the class head at 6e-3"),
    "GRALORA": Rate(2e-4, COMPARISON),
    "HIRA": Rate(4.5e-3, COMPARISON),
    "IA3": Rate(
        8e-3, "peft's guide; its comparison has 5e-3, Liu et al. (2022) 3e-3; a search for MiniLM on tweets found .042"
    ),
    "LOKR": Rate(3e-3, COMPARISON),
    "LORA": Rate(
        5e-4,
        "ten times full fine-tuning's: Schulman et al. (2025), LoRA Without Regret; of eight rates for MiniLM on "
        "tweets, 4.6e-4 had the lowest validation loss",
    ),
    "MISS": Rate(1e-4, f"{COMPARISON}; its example has 2e-5"),
    "OSF": Rate(5e-5, COMPARISON),
    "PREFIX_TUNING": Rate(1e-2, "peft's example; its comparison has 1e-3 and 5e-3"),
    "PROMPT_TUNING": Rate(
        3e-2,
        "peft's example with AdamW; Lester et al. (2021) have .3 with Adafactor; of eight rates for MiniLM on tweets, "
        ".022 had the lowest validation loss",
    ),
    "PVERA": Rate(3e-3, COMPARISON),
    "P_TUNING": Rate(1e-3, f"best of 1e-4, 1e-3 and 5e-3 in {COMPARISON}, and of five rates for MiniLM on tweets"),
    "RANDLORA": Rate(3e-4, "peft's example"),
    "ROAD": Rate(1e-3, "peft's example and comparison"),
    "SHIRA": Rate(3e-4, COMPARISON),
    "TRAINABLE_TOKENS": Rate(2e-1, f"{COMPARISON}, which has no class head"),
    "UNILORA": Rate(2e-3, COMPARISON),
    "VBLORA": Rate(1e-3, "peft's example, for the vectors"),
    "VERA": Rate(4e-3, "Kopiczko et al. (2024), who have 4e-3 to 1e-2 on GLUE; peft has 1e-3 and 2e-2"),
}
# Of LORA, by the beginning of `init_lora_weights`: what starts at directions of the weight itself.
INITS: Mapping[str, Rate] = {
    "corda": Rate(5e-5, "PiSSA's, whose start it shares but for the metric; peft's example has 2e-5 for both"),
    "olora": Rate(3e-5, "18 times less than LoRA's: Learning Rate Matters (arXiv 2602.04998)"),
    "pissa": Rate(
        5e-5, "ten times less than LoRA's: Learning Rate Matters (arXiv 2602.04998); peft's example has 2e-5"
    ),
}


def rate_of(settings: Mapping[str, object]) -> Rate | None:
    """Return the default rate of the peft type, and of LORA's first weights, that settings name; None: it has none."""
    kind = str(settings.get("peft_type")).upper()
    started = by_start(settings, INITS) if kind == "LORA" else None
    return started or RATES.get(kind)
