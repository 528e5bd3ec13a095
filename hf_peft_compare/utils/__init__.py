"""Files, hashes, formatting, processes, hub errors."""
