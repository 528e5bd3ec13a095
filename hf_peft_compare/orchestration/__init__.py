"""All runs of a study: jobs, processes, checks before them, tuning."""
