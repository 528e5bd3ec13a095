"""One file per method. A new method is a new file here that defines a `Method`; nothing else changes."""
