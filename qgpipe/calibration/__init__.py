"""What is done to a trained model before it is tested: ensembles, temperature, outlier score."""
