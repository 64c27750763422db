"""Output from records: the trace of an artifact, differences of runs, an RO-Crate."""
