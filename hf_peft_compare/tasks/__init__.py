"""Tasks, one file per family. To add a task, add a file here that defines a `Task`; nothing else changes."""
