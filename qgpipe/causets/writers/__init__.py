"""Generated causal sets as zarr stores: one module a layout."""
