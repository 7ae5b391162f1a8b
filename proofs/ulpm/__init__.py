"""Unconstrained features without weight decay: minimum-norm separation, its flow, and the way there."""
