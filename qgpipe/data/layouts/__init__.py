"""The layouts of raw stores: where the samples are. One class each; ``registry`` opens stores."""
