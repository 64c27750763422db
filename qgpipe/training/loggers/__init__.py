"""Logging of each epoch: history, CSV, TensorBoard, loggers of the user."""
