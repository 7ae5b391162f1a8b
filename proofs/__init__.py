"""Symbolic proofs of the closed forms: SymPy only.

`THEOREMS` maps an identifier to a `Theorem`; `THEOREMS[id].check()` verifies it step by step and returns a `Report`;
`THEOREMS[id].closed_forms[name]` is a `sympy.Lambda`. `python -m proofs` checks everything and renders `THEOREMS.md`.
"""

from proofs.domain import REAL as REAL
from proofs.domain import Domain as Domain
from proofs.domain import Range as Range
from proofs.domain import above as above
from proofs.domain import at_least as at_least
from proofs.domain import between as between
from proofs.domain import integers as integers
from proofs.registry import THEOREMS as THEOREMS
from proofs.theorem import Finding as Finding
from proofs.theorem import Report as Report
from proofs.theorem import Step as Step
from proofs.theorem import Theorem as Theorem
from proofs.theorem import Uses as Uses
from proofs.theorem import Verdict as Verdict
