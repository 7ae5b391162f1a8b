"""Convexity: the Hessian, computed from the function, has non-negative principal minors."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

import sympy as sp

from proofs.domain import Domain
from proofs.theorem import Finding, Step, Verdict
from proofs.verifiers.sign import decide_sign


@dataclass(frozen=True)
class Convex(Step):
    """`function` is convex in `variables` on `domain`; strictly so if `strict` (leading minors positive)."""

    kind: ClassVar[str] = "convexity"
    function: sp.Expr
    variables: tuple[sp.Symbol, ...]
    domain: Domain = field(repr=False)
    strict: bool = False

    def verify(self) -> Finding:
        hessian = sp.hessian(self.function, self.variables)
        size = len(self.variables)
        if self.strict:
            subsets = [tuple(range(k)) for k in range(1, size + 1)]
        else:
            subsets = [s for k in range(1, size + 1) for s in combinations(range(size), k)]
        for subset in subsets:
            minor = sp.factor(hessian.extract(subset, subset).det())
            finding = decide_sign(minor, ">" if self.strict else ">=", self.domain)
            if finding.verdict is not Verdict.PROVED:
                names = ", ".join(str(self.variables[i]) for i in subset)
                return Finding(finding.verdict, f"Hessian minor of ({names}): {finding.note}")
        return Finding(Verdict.PROVED)

    def latex(self) -> str:
        order = r"\succ" if self.strict else r"\succeq"
        return rf"\nabla^2_{{({', '.join(map(sp.latex, self.variables))})}} {sp.latex(self.function)} {order} 0"
