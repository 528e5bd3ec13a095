"""Datasets, examples, tokens and batches."""
