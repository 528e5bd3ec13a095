"""A small pretrained model and two news generators of the package's own, so that a quickstart needs no network."""

from __future__ import annotations

from pathlib import Path

from hf_peft_compare.quickstart.outcomes import load_outcomes
from hf_peft_compare.quickstart.stories import load_stories

# Loads with AutoModelForCausalLM and AutoTokenizer.
BASE_FOLDER = Path(__file__).parent / "base"
# Plain English of many subjects, a paragraph of each, none of which a study is about.
OUTSIDE_TEXT = Path(__file__).parent / "outside.txt"

__all__ = ["BASE_FOLDER", "OUTSIDE_TEXT", "load_outcomes", "load_stories"]
