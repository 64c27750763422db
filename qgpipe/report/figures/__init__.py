"""Figures of runs, sweeps and studies."""
