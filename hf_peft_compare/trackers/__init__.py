"""The trackers that runs are logged to, one file each; each loads its library when a run starts."""
