"""From specs in a configuration to modules, and their arguments; model files."""
