"""One run: the factory, the Trainer, its callbacks, the record."""
