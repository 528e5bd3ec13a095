"""Build a comparison from records: rows, intervals, paired differences, a verdict. Nothing here imports torch."""

from hf_peft_compare.comparison.build import Comparison, compare
from hf_peft_compare.comparison.console import render_table
from hf_peft_compare.comparison.intervals import Interval
from hf_peft_compare.comparison.pairwise import PairedDifference
from hf_peft_compare.comparison.rows import MethodRow, RunRow

__all__ = ["Comparison", "Interval", "MethodRow", "PairedDifference", "RunRow", "compare", "render_table"]
