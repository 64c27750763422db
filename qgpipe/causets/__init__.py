"""Causal sets: what they are, what is observed of them, generators, and stores of them."""
