"""Generators of causal sets, their names, and the classes in a configuration."""
