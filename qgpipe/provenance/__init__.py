"""Where artifacts came from: recorded by the job that makes them, read back as a chain."""
