"""Builds modules and their arguments from specs in a configuration; model files."""
