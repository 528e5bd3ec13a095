"""What is given from Python, as what a study file has: objects are saved beside the runs, once."""
