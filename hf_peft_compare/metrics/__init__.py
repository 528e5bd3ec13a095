"""One file per metric. To add a metric, add a file that defines a `Metric`; nothing else changes."""
