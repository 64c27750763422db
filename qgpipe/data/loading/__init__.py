"""Data sets and loaders: where graphs are held, and how batches are made."""
