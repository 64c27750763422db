"""The workflow: what the Snakefile and the scripts of its rules need."""
