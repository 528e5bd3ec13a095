"""Study configuration: YAML files and overrides, resolved into the config of each run."""
