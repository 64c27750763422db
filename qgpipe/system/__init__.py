"""Files, locks, processes, GPUs and logs; the user's code in tracebacks."""
