"""Results of runs as tables and text."""
