"""From a data set to examples, tokens and batches."""
