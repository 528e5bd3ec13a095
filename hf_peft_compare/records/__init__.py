"""What a run leaves behind: its record, its predictions, where they come from."""
