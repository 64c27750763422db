"""Causal sets: partial orders, their observables, generators, and writers of stores."""
