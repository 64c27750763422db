"""Training, validation and test of a model; interrupted trainings resume exactly."""
