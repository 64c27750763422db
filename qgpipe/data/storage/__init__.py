"""Part files, and ``dataset.json``, which lists them."""
