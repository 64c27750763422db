"""What shapes the result of each stage: its settings, and the code that they name."""
