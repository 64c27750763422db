"""Configurations of QuantumGravPy's older formats, written in the present one."""
