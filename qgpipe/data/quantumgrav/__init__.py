"""The store object for readers written for QuantumGravPy, with ``store.root`` and zarr groups."""
