"""Use finished runs: load, predict, export."""
