"""The doctor: checks for errors that silently ruin comparisons, on a study's own model with a few of its examples."""
