"""Global bounds of deep cross-entropy, L >= 3 factors, by branch and bound over the Gram matrix of the logits.

In NumPy, on the host, in float64. ``program`` has the problem and its relaxation, ``cover`` the simplices,
``bound`` a lower bound from any multipliers, rounding included; these three are what a result rests on.
``barrier`` finds good multipliers, ``bisection`` says which edge to halve, ``descent`` finds good points,
``search`` goes best first.
"""
