"""Simple methods fitted to the same training set, and their comparison with the model."""
