"""Callbacks for the standard `transformers.Trainer`: clocks, memory, the best state, progress, trackers.

Callbacks that measure are saved in checkpoints, so that a resumed run continues its counts.
"""

from hf_peft_compare.training.callbacks.best_state import BestState
from hf_peft_compare.training.callbacks.checkpoints import CheckpointMarker
from hf_peft_compare.training.callbacks.energy import Energy
from hf_peft_compare.training.callbacks.finite_loss import FiniteLoss
from hf_peft_compare.training.callbacks.median_stopping import MedianStopping
from hf_peft_compare.training.callbacks.memory_breakdown import MemoryBreakdown
from hf_peft_compare.training.callbacks.peak_cuda_memory import PeakCudaMemory
from hf_peft_compare.training.callbacks.progress import ProgressFile
from hf_peft_compare.training.callbacks.rule import FollowRule
from hf_peft_compare.training.callbacks.tracking import Tracking
from hf_peft_compare.training.callbacks.train_flops import TrainFlops
from hf_peft_compare.training.callbacks.trainable_parameters import TrainableParameters
from hf_peft_compare.training.callbacks.wall_clock import WallClock

__all__ = [
    "BestState",
    "CheckpointMarker",
    "Energy",
    "FiniteLoss",
    "FollowRule",
    "MedianStopping",
    "MemoryBreakdown",
    "PeakCudaMemory",
    "ProgressFile",
    "Tracking",
    "TrainFlops",
    "TrainableParameters",
    "WallClock",
]
