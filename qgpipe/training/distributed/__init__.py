"""Several processes that train one model: how they start, find each other, share and agree."""
