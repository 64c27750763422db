"""The parts of a data set: their plan, and the jobs that make them from raw stores."""
