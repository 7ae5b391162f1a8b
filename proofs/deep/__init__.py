"""Deep linear networks on unconstrained features: M weight matrices above the features, L = M + 1 factors."""
