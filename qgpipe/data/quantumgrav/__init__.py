"""What a reader written for QuantumGravPy is given: ``store.root``, and zarr on top of it."""
