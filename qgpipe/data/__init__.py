"""From raw stores to batches: graphs, part files, splits, loaders."""
