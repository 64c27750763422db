"""The layers and blocks of this package."""
