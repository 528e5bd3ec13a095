"""Compare fine-tuning methods of one pretrained model on one task: same data, same training code, same measurements."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_peft_compare.api import compare as compare
    from hf_peft_compare.api import doctor as doctor
    from hf_peft_compare.api import load as load
    from hf_peft_compare.api import make_study as make_study
    from hf_peft_compare.api import plan as plan
    from hf_peft_compare.api import run_study as run_study
    from hf_peft_compare.config.loading import load_study as load_study
    from hf_peft_compare.config.study import Study as Study
    from hf_peft_compare.core.errors import RunFailed as RunFailed
    from hf_peft_compare.core.errors import UserError as UserError
    from hf_peft_compare.core.method import Card as Card
    from hf_peft_compare.core.method import Choices as Choices
    from hf_peft_compare.core.method import Floor as Floor
    from hf_peft_compare.core.method import Method as Method
    from hf_peft_compare.core.method import PromptingMethod as PromptingMethod
    from hf_peft_compare.core.method import Range as Range
    from hf_peft_compare.core.method import Rate as Rate
    from hf_peft_compare.core.metric import Metric as Metric
    from hf_peft_compare.core.metric import Score as Score
    from hf_peft_compare.core.registry import load_plugin as load_plugin
    from hf_peft_compare.core.registry import register_method as register_method
    from hf_peft_compare.core.registry import register_metric as register_metric
    from hf_peft_compare.core.registry import register_task as register_task
    from hf_peft_compare.core.registry import register_tracker as register_tracker
    from hf_peft_compare.core.task import Example as Example
    from hf_peft_compare.core.task import Format as Format
    from hf_peft_compare.core.task import Task as Task
    from hf_peft_compare.core.task import Turn as Turn
    from hf_peft_compare.core.tracker import TrackedRun as TrackedRun
    from hf_peft_compare.core.tracker import TrackedTable as TrackedTable
    from hf_peft_compare.core.tracker import Tracker as Tracker
    from hf_peft_compare.inference.loading import load_run as load_run
    from hf_peft_compare.inputs.tasks import classification as classification
    from hf_peft_compare.inputs.tasks import instructed_classification as instructed_classification
    from hf_peft_compare.inputs.tasks import instruction_tuning as instruction_tuning
    from hf_peft_compare.inputs.tasks import question_answering as question_answering
    from hf_peft_compare.inputs.tasks import statement_checking as statement_checking
    from hf_peft_compare.inputs.tasks import summarization as summarization
    from hf_peft_compare.inputs.tasks import visual_question_answering as visual_question_answering
    from hf_peft_compare.models.prompt_tuning import PromptTuningModel as PromptTuningModel
    from hf_peft_compare.report.blocks import Section as Section
    from hf_peft_compare.report.sections import register_section as register_section
    from hf_peft_compare.results.result import Result as Result

__version__ = "0.2.0"

# On some processors, bitsandbytes warns about a kernel it did not download whenever torch's libraries are imported.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

# Imported on first access, so that reports and --help do not import torch.
_EXPORTS = {
    "api": ("compare", "doctor", "load", "make_study", "plan", "run_study"),
    "config.loading": ("load_study",),
    "config.study": ("Study",),
    "core.errors": ("RunFailed", "UserError"),
    "core.method": ("Card", "Choices", "Floor", "Method", "PromptingMethod", "Range", "Rate"),
    "core.metric": ("Metric", "Score"),
    "core.registry": ("load_plugin", "register_method", "register_metric", "register_task", "register_tracker"),
    "core.task": ("Example", "Format", "Task", "Turn"),
    "core.tracker": ("TrackedRun", "TrackedTable", "Tracker"),
    "inference.loading": ("load_run",),
    "inputs.tasks": (
        "classification",
        "instructed_classification",
        "instruction_tuning",
        "question_answering",
        "statement_checking",
        "summarization",
        "visual_question_answering",
    ),
    "models.prompt_tuning": ("PromptTuningModel",),
    "report.blocks": ("Section",),
    "report.sections": ("register_section",),
    "results.result": ("Result",),
}
_LAZY = {name: f"{__name__}.{module}" for module, names in _EXPORTS.items() for name in names}
__all__ = sorted(_LAZY)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
