"""Planning: parameters, memory, FLOPs and time of a study from its configs only, before anything is downloaded."""

from hf_peft_compare.planning.plan_types import StudyPlan
from hf_peft_compare.records.plan import MemoryPlan, RunPlan

__all__ = ["MemoryPlan", "RunPlan", "StudyPlan"]
