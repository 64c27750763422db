"""Search spaces for Optuna in a configuration."""
