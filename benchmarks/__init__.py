"""What speed costs and gains here, each figure measured beside a plain recipe in the same run: python -m benchmarks."""
