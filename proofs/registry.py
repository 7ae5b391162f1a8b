"""All theorems by identifier, built on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from proofs.theorem import Theorem

# identifier -> module and the function in it that builds the theorem, in reading order.
_BUILDERS = {
    "ce.convex": ("cross_entropy", "theorem"),
    "lpm.relaxation": ("relaxation", "theorem"),
    "lpm.balanced": ("balanced", "theorem"),
    "ufm.balanced": ("unconstrained", "theorem"),
    "ufm.label_smoothing": ("label_smoothing", "theorem"),
    "ufm.focal": ("focal", "theorem"),
    "ufm.squared_error": ("squared_error", "theorem"),
    "supcon.balanced": ("contrastive", "theorem"),
    "lpm.two_group": ("two_group", "theorem"),
    "lpm.kkt": ("probabilities", "theorem"),
    "lpm.unique": ("uniqueness", "theorem"),
    "lpm.one_scalar": ("one_scalar", "theorem"),
    "lpm.merging": ("merging", "theorem"),
    "lpm.merged_boundary": ("merged_boundary", "theorem"),
    "lpm.annihilated_boundary": ("annihilated_boundary", "theorem"),
    "lpm.minority_collapse": ("minority_collapse", "theorem"),
    "lpm.oversampling": ("oversampling", "theorem"),
    "certificate.budget": ("certificate", "budget_theorem"),
    "certificate.penalty": ("certificate", "penalty_theorem"),
    "lpm.grouped": ("grouped", "theorem"),
    "lpm.rank": ("rank", "theorem"),
    "ulpm.seli": ("ulpm.seli", "theorem"),
    "ulpm.lower_bound": ("ulpm.lower_bound", "theorem"),
    "ulpm.ray": ("ulpm.ray", "theorem"),
    "ulpm.hadamard": ("ulpm.hadamard", "theorem"),
    "ulpm.landscape": ("ulpm.landscape", "theorem"),
    "ulpm.path": ("ulpm.path", "theorem"),
    "deep.schatten": ("deep.schatten", "theorem"),
    "deep_mse.separable": ("deep.squared_error", "theorem"),
    "deep_mse.threshold": ("deep.threshold", "theorem"),
    "deep_mse.geometry": ("deep.geometry", "theorem"),
    "deep_mse.free_bias": ("deep.free_bias", "theorem"),
    "deep_mse.bias_transition": ("deep.bias_transition", "theorem"),
    "deep_mse.decayed_bias": ("deep.decayed_bias", "theorem"),
    "deep_mse.two_layers": ("deep.two_layers", "theorem"),
    "deep_relu.graph": ("deep.graph", "theorem"),
    "deep_ce.pairs": ("deep.pairs", "theorem"),
    "deep_ce.pair_death": ("deep.pair_death", "theorem"),
    "deep_ce.kappa": ("deep.pair_death", "kappa_theorem"),
    "deep_ce.lower_bound": ("deep.lower_bound", "theorem"),
    "deep_ce.branching": ("deep.branching", "theorem"),
}


@cache
def _build(identifier: str) -> Theorem:
    module, function = _BUILDERS[identifier]
    theorem = getattr(import_module(f"proofs.{module}"), function)()
    if theorem.id != identifier:
        raise ValueError(f"{module}.{function} builds {theorem.id}, not {identifier}")
    return theorem


class Registry(Mapping[str, Theorem]):
    """Identifier -> `Theorem`; a theorem is built when it is first asked for, and once."""

    def __getitem__(self, identifier: str) -> Theorem:
        return _build(identifier)

    def __iter__(self) -> Iterator[str]:
        return iter(_BUILDERS)

    def __len__(self) -> int:
        return len(_BUILDERS)


THEOREMS = Registry()
