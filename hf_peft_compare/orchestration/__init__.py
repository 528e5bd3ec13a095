"""All runs of a study: jobs, processes, preflight checks, tuning."""
