"""Files, locks, processes, GPUs and logs of the machine; code of the user among what is running."""
