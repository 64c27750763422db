"""Provenance of artifacts: records written by the jobs, and the chain that they form."""
