"""Training, validation and test of a model, with exact resume."""
