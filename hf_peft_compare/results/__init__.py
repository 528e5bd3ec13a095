"""A study's result in Python: its verdict, tables as data frames, charts, and its runs at work."""
