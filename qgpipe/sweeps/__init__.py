"""The runs of a configuration: points of sweeps, folds, and parameters of studies."""
