"""Paths of the factors of unconstrained features: gradient flow, and optimisers step by step."""
