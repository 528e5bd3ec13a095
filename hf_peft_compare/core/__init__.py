"""What everything else stands on: contracts of methods, tasks and metrics, their registry, errors, settings."""
