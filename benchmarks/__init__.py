"""Benchmarks of this package, each measured side by side with a plain recipe in one run: python -m benchmarks."""
