"""Losses, generation, predictions, and the costs of inference."""
