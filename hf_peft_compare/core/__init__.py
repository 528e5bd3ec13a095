"""The contracts of methods, tasks and metrics, their registry, errors and settings; every other package imports it."""
