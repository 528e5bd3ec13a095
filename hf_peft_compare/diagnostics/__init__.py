"""The doctor: what silently ruins comparisons, looked for in a study's own model with a few of its examples."""
