"""Packed graphs in memory: formats of their edges, selection, conversion from and to PyG."""
