"""From a raw store to graphs: the built-in reader by layout, checks, and readers of the user."""
