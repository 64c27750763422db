"""What simple methods reach on the same graphs, and how the model compares with them."""
