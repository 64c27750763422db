"""What the result of each stage depends on: settings, and the user's code that they name."""
