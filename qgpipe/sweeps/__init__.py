"""The runs that a configuration stands for: points of sweeps, folds, values to be tuned."""
