"""Compare ways to adapt one pretrained model to one task: same data, same training path, measured alike."""

from __future__ import annotations

import logging
from typing import Any

__version__ = "0.1.0"

# On some processors bitsandbytes warns, whenever torch's libraries are imported, of a kernel that it did not download.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

# What needs torch is imported when it is first asked for, so that reports and --help do without.
_LAZY = {
    "PromptTuningModel": "hf_peft_compare.models.prompt_tuning",
    "load_run": "hf_peft_compare.inference.loading",
    "load_study": "hf_peft_compare.config.loading",
}
__all__ = ["PromptTuningModel", "load_run", "load_study"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
