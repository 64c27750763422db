"""Evaluates the best model on further sets, whose causal sets differ from the training set."""
