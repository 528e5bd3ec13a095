"""Callbacks for the standard `transformers.Trainer`: clocks, memory, the best state, progress, Weights & Biases.

Those that measure are exported into checkpoints, so that a resumed run goes on counting where it was.
"""

from hf_peft_compare.callbacks.best_state import BestState
from hf_peft_compare.callbacks.checkpoints import CheckpointMarker
from hf_peft_compare.callbacks.finite_loss import FiniteLoss
from hf_peft_compare.callbacks.hopeless import Hopeless
from hf_peft_compare.callbacks.memory_breakdown import MemoryBreakdown
from hf_peft_compare.callbacks.peak_cuda_memory import PeakCudaMemory
from hf_peft_compare.callbacks.progress import ProgressFile
from hf_peft_compare.callbacks.train_flops import TrainFlops
from hf_peft_compare.callbacks.trainable_parameters import TrainableParameters
from hf_peft_compare.callbacks.wall_clock import WallClock
from hf_peft_compare.callbacks.wandb_sink import WandbSink

__all__ = [
    "BestState",
    "CheckpointMarker",
    "FiniteLoss",
    "Hopeless",
    "MemoryBreakdown",
    "PeakCudaMemory",
    "ProgressFile",
    "TrainFlops",
    "TrainableParameters",
    "WallClock",
    "WandbSink",
]
