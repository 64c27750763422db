"""The layers and blocks that come along."""
