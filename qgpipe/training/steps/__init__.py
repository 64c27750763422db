"""One pass over batches, and one step of the optimizer: loss, outputs, precision, progress."""
