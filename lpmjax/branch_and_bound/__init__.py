"""Global bounds of deep cross-entropy, L >= 3 factors, by branch and bound over the Gram matrix of the logits.

In NumPy, on the host, in float64. :mod:`.program` has the problem and its relaxation, :mod:`.cover` the simplices,
:mod:`.bound` a lower bound from any multipliers, rounding included; these three are what a result rests on.
:mod:`.barrier` finds good multipliers, :mod:`.bisection` says which edge to halve, :mod:`.descent` finds good points,
:mod:`.search` goes best first.
"""
