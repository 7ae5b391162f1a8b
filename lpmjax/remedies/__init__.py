"""What prevents collapse: the least change of a model after which no class has slack < 0."""
