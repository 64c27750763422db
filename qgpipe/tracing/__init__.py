"""What records tell: the trace of an artifact, differences of runs, an RO-Crate."""
