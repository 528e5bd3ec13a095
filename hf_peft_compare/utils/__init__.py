"""Files, hashes, formatting, processes, errors of the hub."""
