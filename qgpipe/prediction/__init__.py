"""A trained model applied to further stores."""
