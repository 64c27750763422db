"""Figures of a run, drawn from its result files alone."""
