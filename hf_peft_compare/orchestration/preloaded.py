"""Slow imports of child processes, loaded once, in the process from which the children are forked.

What they leave in memory is frozen: no child's garbage collection looks through it, or copies the memory that it shares
with the others.
"""

import gc

from hf_peft_compare.utils.quiet import import_trainer

gc.disable()

import_trainer()

import datasets  # noqa: E402, F401
import evaluate  # noqa: E402, F401
import peft  # noqa: E402, F401
import rouge_score.rouge_scorer  # noqa: E402, F401

import hf_peft_compare.orchestration.preflight  # noqa: E402, F401
import hf_peft_compare.training.run  # noqa: E402, F401

gc.freeze()
gc.enable()
