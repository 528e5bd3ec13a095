"""One file per task family. A new task is a new file here that defines a `Task`; nothing else changes."""
