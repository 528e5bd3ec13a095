"""A small pretrained model and two generators of news stories, so that the quickstart needs no network."""

from __future__ import annotations

from pathlib import Path

from hf_peft_compare.quickstart.outcomes import load_outcomes
from hf_peft_compare.quickstart.stories import load_stories

# Loads with AutoModelForCausalLM and AutoTokenizer.
BASE_FOLDER = Path(__file__).parent / "base"
# Plain English on many subjects, one paragraph each; no study is about any of them.
OUTSIDE_TEXT = Path(__file__).parent / "outside.txt"

__all__ = ["BASE_FOLDER", "OUTSIDE_TEXT", "load_outcomes", "load_stories"]
