"""One file per metric. A new metric is a new file here that defines a `Metric`; nothing else changes."""
