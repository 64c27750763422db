"""Training, validation and test set: methods, sizes, ``split.json``."""
