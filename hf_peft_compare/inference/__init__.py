"""A finished run in use: load, predict, export."""
