"""Generators of causal sets, by name, and the classes that a configuration makes of them."""
