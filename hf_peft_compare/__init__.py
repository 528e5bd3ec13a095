"""Compare ways to adapt one pretrained model to one task: same data, same training path, measured alike."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# On some processors bitsandbytes warns, whenever torch's libraries are imported, of a kernel that it did not download.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

if TYPE_CHECKING:  # what `_LAZY` names, for type checkers and editors
    from hf_peft_compare.config.loading import load_study
    from hf_peft_compare.core.method import Card, Choices, Floor, Method, PromptingMethod, Range
    from hf_peft_compare.core.metric import Metric, Score
    from hf_peft_compare.core.registry import load_plugin, register_method, register_metric, register_task
    from hf_peft_compare.core.task import Example, Format, Task
    from hf_peft_compare.inference.loading import load_run
    from hf_peft_compare.models.prompt_tuning import PromptTuningModel
    from hf_peft_compare.report.blocks import Section
    from hf_peft_compare.report.sections import register_section

# What needs torch is imported when it is first asked for, so that reports and --help do without.
_LAZY = {
    "Card": "hf_peft_compare.core.method",
    "Choices": "hf_peft_compare.core.method",
    "Example": "hf_peft_compare.core.task",
    "Floor": "hf_peft_compare.core.method",
    "Format": "hf_peft_compare.core.task",
    "Method": "hf_peft_compare.core.method",
    "Metric": "hf_peft_compare.core.metric",
    "PromptTuningModel": "hf_peft_compare.models.prompt_tuning",
    "PromptingMethod": "hf_peft_compare.core.method",
    "Range": "hf_peft_compare.core.method",
    "Score": "hf_peft_compare.core.metric",
    "Section": "hf_peft_compare.report.blocks",
    "Task": "hf_peft_compare.core.task",
    "load_plugin": "hf_peft_compare.core.registry",
    "load_run": "hf_peft_compare.inference.loading",
    "load_study": "hf_peft_compare.config.loading",
    "register_method": "hf_peft_compare.core.registry",
    "register_metric": "hf_peft_compare.core.registry",
    "register_section": "hf_peft_compare.report.sections",
    "register_task": "hf_peft_compare.core.registry",
}
__all__ = [
    "Card",
    "Choices",
    "Example",
    "Floor",
    "Format",
    "Method",
    "Metric",
    "PromptTuningModel",
    "PromptingMethod",
    "Range",
    "Score",
    "Section",
    "Task",
    "load_plugin",
    "load_run",
    "load_study",
    "register_method",
    "register_metric",
    "register_section",
    "register_task",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
