"""Slow imports of child processes, loaded once, in the process from which the children are forked.

What they leave in memory is frozen: no child's garbage collection looks through it, or copies the memory that it shares
with the others.
"""

import contextlib
import gc

gc.disable()

with contextlib.redirect_stdout(None):  # transformers prints there that W&B is offline
    import transformers.trainer  # noqa: F401

import datasets  # noqa: E402, F401
import evaluate  # noqa: E402, F401
import peft  # noqa: E402, F401
import rouge_score.rouge_scorer  # noqa: E402, F401

import hf_peft_compare.orchestration.preflight  # noqa: E402, F401
import hf_peft_compare.training.run  # noqa: E402, F401

gc.freeze()
gc.enable()
