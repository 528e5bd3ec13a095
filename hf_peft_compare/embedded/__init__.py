"""A small pretrained model and a small news generator of the package's own, so that `quickstart` needs no network."""

from __future__ import annotations

from pathlib import Path

from hf_peft_compare.embedded.stories import load_stories

# Loads with AutoModelForCausalLM and AutoTokenizer.
BASE_FOLDER = Path(__file__).parent / "base"

__all__ = ["BASE_FOLDER", "load_stories"]
