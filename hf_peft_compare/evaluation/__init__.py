"""Losses, generation, predictions, and what inference costs."""
