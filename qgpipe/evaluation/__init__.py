"""The best model on further sets, whose causal sets differ from those that it was trained on."""
