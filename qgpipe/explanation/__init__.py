"""What the answers of a model rest on: its features, its edges, or invariants alone."""
