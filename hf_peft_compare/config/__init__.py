"""A study's YAML and overrides, resolved into the config of each run."""
