"""Training of one model by several processes: launch, process group, sharding, signals."""
