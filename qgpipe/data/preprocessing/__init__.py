"""The parts of a data set: planned, and made of raw stores."""
