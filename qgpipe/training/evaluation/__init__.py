"""Validation and test of a model: outputs, metrics, predictions, constant baseline."""
