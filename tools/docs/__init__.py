"""What the documentation takes from the code: keys, method cards, tasks, the record, the command line, the reports."""
