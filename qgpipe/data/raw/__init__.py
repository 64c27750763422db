"""Raw zarr stores: their arrays and chunks, what they hold, and what is wrong with it."""
