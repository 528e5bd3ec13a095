"""One file per section of the report. A new section is a new file here that defines a `Section`, nothing else."""
