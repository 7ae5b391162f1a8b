"""Closed forms of `proofs` and the code that evaluates them: value and derivatives, 300 digits against float64."""

import dataclasses

import numpy as np
import pytest
from tied_forms import TIES
from ties import Tie

_POINTS = 24  # corners of the box, and as many random points
_SYMBOLIC = {
    "_one_scalar",
    "_probabilities",
    "_slack",
    "_gap_terms",
    "_growth",
}  # SymPy takes seconds over their derivatives


def failures(tie: Tie, rng, closed_forms=None) -> dict[str, tuple[float, float]]:
    """Forms that break the bounds of the tie, with their errors."""
    errors = tie.measure(tie.points(rng, _POINTS), closed_forms)
    assert errors
    return {
        name: (e.value, e.derivative)
        for name, e in errors.items()
        if not (e.value <= tie.bound and e.derivative <= tie.derivative_bound)
    }


def identifier(tie: Tie) -> str:
    return f"{tie.theorem}{tie.code.__name__}"


@pytest.mark.parametrize(
    "tie",
    [
        pytest.param(tie, id=identifier(tie), marks=[pytest.mark.slow] if tie.code.__name__ in _SYMBOLIC else [])
        for tie in TIES
    ],
)
def test_code_is_the_closed_form(tie, rng):
    assert failures(tie, rng) == {}


def test_a_wider_bound_has_a_reason():
    for tie in TIES:
        assert tie.reason or (tie.bound <= 1e-12 and tie.derivative_bound <= 1e-9)


def test_wrong_code_is_found(rng):
    by_name = {tie.code.__name__: tie for tie in TIES}
    balanced, two_groups = by_name["_balanced"], by_name["_one_group"]

    def wrong_cosine(K, E_W, E_H):
        return balanced.code(K, E_W, E_H) | {"cosine": -1 / K}

    assert set(failures(dataclasses.replace(balanced, code=wrong_cosine), rng)) == {"cosine"}

    def shifted(K, E_W, E_H):  # right values up to 1e-11
        return {"value": balanced.code(K, E_W, E_H)["value"] * (1 + 1e-11)}

    assert failures(dataclasses.replace(balanced, code=shifted), rng)

    def groups_swapped(K_A, K_B, chi, l_A):
        return two_groups.code(K_B, K_A, chi, l_A)

    assert set(failures(dataclasses.replace(two_groups, code=groups_swapped), rng)) == {"within", "coordinate"}


def test_wrong_closed_form_is_found(rng):
    """beta a little too large in the merged boundary."""
    from proofs.merged_boundary import theorem
    from proofs.symbols import ALPHA_B

    tie = next(tie for tie in TIES if tie.theorem == "lpm.merged_boundary")
    points = np.array([[5.0, 3.0, 1.0], [2.0, 20.0, 0.3]])
    right = tie.measure(points)["log R_0"]
    wrong = tie.measure(points, theorem(beta=ALPHA_B * 1.001).closed_forms)["log R_0"]
    assert right.value < 1e-14 < 1e-6 < wrong.value


def test_threshold_where_stationary_points_end_is_found(rng):
    """The wrong branch of the deep scalar problem, as a closed form."""
    from proofs.deep import threshold

    tie = next(tie for tie in TIES if tie.code.__name__ == "_sample_thresholds")
    wrong = threshold.theorem(threshold=threshold.LAST).closed_forms
    assert set(failures(tie, rng, wrong)) == {"least_count"}
