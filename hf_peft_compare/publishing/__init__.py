"""A study on the Hub: its records, a page, models, all checked for what is private before anything leaves."""
