"""What simple methods reach on the same graphs, and whether the model is better by more than chance."""
