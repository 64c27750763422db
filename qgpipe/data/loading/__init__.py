"""Data sets and loaders for training: where graphs are held, and how batches are made."""
