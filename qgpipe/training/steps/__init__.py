"""A pass over batches, and a step of the optimizer: loss, outputs, precision, progress."""
