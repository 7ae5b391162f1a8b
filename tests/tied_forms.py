"""TIES: every closed form of ``proofs`` that lpmjax evaluates, with the code that does."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ties import Against, Implicit, Tie

from lpmjax import boundary, spectral, symmetry
from lpmjax.charge import Budget
from lpmjax.duality import Program, duality_gap, gradient, shrinkage
from lpmjax.groups import ClassGroups
from lpmjax.losses.softmax import CrossEntropy
from lpmjax.losses.squared_error import SquaredError
from lpmjax.problems.deep_linear import DeepLinear
from lpmjax.problems.layer_peeled import LayerPeeled
from lpmjax.problems.separation import Separation
from lpmjax.problems.unconstrained import UnconstrainedFeatures
from lpmjax.solve import solve
from lpmjax.solvers.two_group import (
    TwoGroupProgram,
    angle_at,
    annihilation_angle,
    budget_state,
    penalty_state,
    rank_one,
)

_CLASSES = (2.0, 1e6)
_BUDGET = (1e-6, 1e2)
_CANCELS = "a difference of terms: the error is relative to the terms"


def _pair(x, y):
    return jnp.stack([x, y])


# One group of equal classes.


def _balanced(K, E_W, E_H):
    problem = LayerPeeled(ClassGroups.balanced(K), E_W, E_H)
    solution = solve(problem)
    names = {"margin": solution.within, "multiplier": solution.multiplier, "cosine": solution.cosine}
    return {name: jnp.reshape(x, ()) for name, x in names.items()} | {"value": solution.value}


def _relaxation(K, E_W, E_H):
    return {"budget": LayerPeeled(ClassGroups.balanced(K), E_W, E_H).budget}


def _weight_decay(K, n, lambda_W, lambda_H):
    problem = UnconstrainedFeatures(ClassGroups.balanced(K, n), lambda_W, lambda_H)
    solution = solve(problem)
    return {
        "penalty": problem.penalty * problem.omega[0],
        "alpha": solution.within[0],
        "value": solution.value,
        "w_norm2": solution.w_norm2[0],
        "h_norm2": solution.h_norm2[0],
    }


def _alive(K, n, share, split):
    """Decays at a share of the threshold: sqrt(n lambda_W lambda_H) = share / K."""
    return K, n, share / (K * np.sqrt(n)) * split, share / (K * np.sqrt(n)) / split


# Two groups: logits, their loss and their geometry from four scalars.


def _coordinates(K_A, K_B, a, e, x, y):
    K = K_A + K_B
    block = rank_one(K_A, K_B, x * jnp.sqrt(K / K_B), y * jnp.sqrt(K / K_A))
    return _pair(a, e), jnp.stack([_pair(*row) for row in block])


def _four_scalars(K_A, K_B, pi_A, pi_B, omega_A, omega_B, a, e, x, y):
    classes = _pair(K_A, K_B)
    within, between = _coordinates(K_A, K_B, a, e, x, y)
    margins = symmetry.margins(within, between, classes)
    loss = CrossEntropy().on_groups(margins, symmetry.count_rivals(classes))
    return {
        "margin_A": margins[1, 0],
        "margin_B": margins[0, 1],
        "loss": jnp.sum(classes * _pair(pi_A, pi_B) * loss.value),
        "nuclear_norm": symmetry.spectral_cost(within, between, classes, _pair(omega_A, omega_B)),
    }


def _geometry(K_A, K_B, a, e, x, y):
    classes, omega = _pair(K_A, K_B), jnp.ones(2)
    coordinates = _coordinates(K_A, K_B, a, e, x, y)
    w_frame, h_frame = grams = symmetry.grams(*coordinates, omega, jnp.ones(()))
    norms = symmetry.geometry(grams, *coordinates, classes)
    row = symmetry.diagonal(w_frame.block) / classes
    terms = (row + w_frame.within / classes) / norms.w_norm2
    return {
        "cos_A": Against(norms.cosine[0], terms[0]),
        "cos_B": Against(norms.cosine[1], terms[1]),
        "w_norm2_A": norms.w_norm2[0],
        "w_norm2_B": norms.w_norm2[1],
        "w_inner": symmetry.inner(w_frame, classes)[0, 1],
        "h_norm2_A": norms.h_norm2[0],
        "h_norm2_B": norms.h_norm2[1],
        "h_inner": symmetry.inner(h_frame, classes)[0, 1],
    }


def _sigma(_, x, y, **rival_counts):
    import sympy as sp

    return {"sigma": sp.sqrt(x**2 + y**2)}


def _seli(K_A, K_B, n_A, n_B):
    problem = Separation(ClassGroups(_pair(K_A, K_B), _pair(n_A, n_B)))
    solution = solve(problem)
    views = {name: getattr(solution, name) for name in ("w_norm2", "h_norm2")}
    found = {f"{name}_{g}": view[i] for name, view in views.items() for i, g in enumerate("AB")}
    dual = {f"beta_{j}{g}": solution.dual[row, i] for row, j in enumerate("AB") for i, g in enumerate("AB")}
    sigma = spectral.block_norm(solution.between * problem.omega)
    row = (jnp.sqrt(problem.groups.samples) * (1 - 1 / problem.groups.classes)) / solution.w_norm2
    cosines = {f"cos_{g}": Against(solution.cosine[i], 1 - row[i]) for i, g in enumerate("AB")}
    # Within a group the multiplier is what the root of its own singular value leaves.
    terms = {f"beta_{g}{g}": Against(dual[f"beta_{g}{g}"], problem.omega[i]) for i, g in enumerate("AB")}
    return {"value": solution.value, "sigma": sigma} | found | cosines | dual | terms


# Two groups on a budget: the state at an angle.


def _h(K_A, K_B, chi):
    import sympy as sp

    return (1 - sp.exp(-chi)) / (1 + sp.sqrt(K_B / (K_A + K_B)))


def _h_of_chi(_, K_A, K_B, chi, **rival_counts):
    return {"h": _h(K_A, K_B, chi)}


def _angles(K_A, K_B, chi):
    angle = angle_at(chi, K_A, K_B)
    return {"c_hat": angle.cosine, "s_hat2": angle.sine**2, "q_B": angle.in_B}


def _one_scalar(K_A, K_B, S, chi):
    one = jnp.ones_like(S)
    state = budget_state(chi, TwoGroupProgram(K_A, K_B, 0 * one, one, S))
    angle = angle_at(chi, K_A, K_B)
    scale = jnp.maximum(state.magnitude, K_B * angle.in_B)
    return {
        "N": Against(state.spare * S, S),
        "e": Against(state.e, scale),
        "sigma": Against(state.sigma, S),
        "a": state.a,
        "log_inverse_t_A": state.log_inv_t_A,
        "log_inverse_t_B": Against(state.log_inv_t_A - state.residual, scale),
        "r": Against(state.residual, scale),
    }


def _before_the_end(K_A, K_B, s, share):
    """Budgets S = K s, and angles up to the one at which the majority has spent them."""
    S = (K_A + K_B) * s
    with jax.enable_x64(True):
        lane = TwoGroupProgram(*(jnp.asarray(x) for x in (K_A, K_B, np.zeros_like(S), np.ones_like(S), S)))
        end = np.asarray(annihilation_angle(lane))
    return K_A, K_B, S, share * np.minimum(end, 100.0)


# Two groups at a given multiplier.


def _probabilities(K_A, K_B, chi, l_A, l_B):
    """l_g = log(1/t_g) > 0: both groups active."""
    classes = _pair(K_A, K_B)
    lane = TwoGroupProgram(K_A, K_B, l_A - l_B, jnp.ones_like(chi), l_A)
    state, angle = penalty_state(chi, lane), angle_at(chi, K_A, K_B)
    # The residual is what y by the second group's conditions lacks of y by the angle.
    y = angle.sine * state.sigma + state.residual
    block = rank_one(K_A, K_B, angle.cosine * state.sigma, y)
    between = jnp.stack([_pair(*row) for row in block])
    margins = symmetry.margins(_pair(state.a, state.e), between, classes)
    loss = CrossEntropy().on_groups(margins, symmetry.count_rivals(classes))
    terms_A, terms_B = state.a + K_A * angle.in_A, state.e + K_B * angle.in_B
    forms = {}
    for g, name, share, terms in ((0, "A", K_B, terms_A), (1, "B", K_A, terms_B)):
        kappa, other = jnp.sqrt(share / (K_A + K_B)), 1 - g
        normalised = (angle.cosine * state.sigma, y)[g]
        forms |= {
            f"within_{name}": (state.a, state.e)[g],
            f"across_{name}": Against(margins[other, g], terms),
            f"coordinate_{name}": Against(kappa * normalised, kappa * terms),
            f"rho_{name}": Against(loss.wrong[other, g], loss.wrong[other, g] * (1 + terms)),
            f"p_{name}": Against(loss.wrong[g, g], loss.wrong[g, g] * (1 + terms)),
            f"P_{name}": jnp.exp(loss.log_right[g]),
        }
    return forms


def _direction(_, K_A, K_B, chi, l_A, l_B):
    import sympy as sp

    h, K = _h(K_A, K_B, chi), K_A + K_B
    kappa = sp.sqrt(K_B / K)
    c = kappa / (1 - K_A * h / K)
    # 1 - h (1 + kappa) = exp(-chi)
    s = sp.sqrt(K_A / K) * sp.sqrt(sp.exp(-chi) * (1 - h * (1 - kappa))) / (1 - K_A * h / K)
    return {"t_A": sp.exp(-l_A), "t_B": sp.exp(-l_B), "c": c, "s": s}


def _comparable(K_A, K_B, chi, l_A, share):
    return K_A, K_B, chi, l_A, share * l_A


def _one_group(K_A, K_B, chi, l_A):
    forms = _probabilities(K_A, K_B, chi, l_A, l_A)
    return {"within": forms["within_A"], "coordinate": forms["coordinate_A"]}


def _own_direction(_, K_A, K_B, chi, l_A):
    import sympy as sp

    found = _direction(_, K_A, K_B, chi, l_A, l_A)
    return {"K_g": K_A, "k": K_B / K_A, "kappa": sp.sqrt(K_B / (K_A + K_B)), "t": found["t_A"], "c": found["c"]}


# Where phases change.


def _merged(K_A, K_B, s):
    return {"log R_0": boundary.merged(K_A, K_B, s, log=True)}


def _annihilated(K_A, K_B, s):
    return {"log R_1": boundary.annihilated(K_A, K_B, s, log=True)}


def _before_no_return(K_A, K_B, share):
    with jax.enable_x64(True):
        return K_A, K_B, share * np.asarray(boundary.annihilation_end(K_A, K_B))


def _spent_on_majority(_, K_A, K_B, s):
    return {"a": (K_A + K_B) * s / (K_A - 1)}


def _annihilation_end(K_A, K_B):
    return {"S_end": (K_A + K_B) * boundary.annihilation_end(K_A, K_B)}


def _growth(K_A, K_B):
    s = 1e9 * K_A / (K_A + K_B)
    return {"growth_rate": jax.grad(lambda s: boundary.merged(K_A, K_B, s, log=True))(s)}


def _slack(K_A, K_B, n_A, n_B, lambda_W, lambda_H):
    groups = ClassGroups(_pair(K_A, K_B), _pair(n_A, n_B))
    problem = UnconstrainedFeatures(groups, lambda_W, lambda_H)
    slack = solve(problem).slack[1]
    terms = jnp.abs(jnp.log(groups.weights[1])) + jnp.abs(jnp.log(problem.omega[1] * problem.penalty))
    return {"slack": Against(slack, 1 + terms), "threshold_count": n_B * jnp.exp(-2 * slack)}


def _weight_and_price(_, K_A, K_B, n_A, n_B, lambda_W, lambda_H):
    import sympy as sp

    N = K_A * n_A + K_B * n_B
    return {"pi_g": n_B / N, "omega_g": sp.sqrt(n_B), "lambda": sp.sqrt(lambda_W * lambda_H), "N": N}


def _oversampled(R, w):
    weights = ClassGroups(jnp.array([3.0, 4.0]), _pair(R, jnp.ones_like(R)), _pair(R, w)).weights
    return {"effective_ratio": weights[0] / weights[1]}


# Certificates.


def _gap_terms(K_A, K_B, pi_A, pi_B, omega_A, omega_B, a, e, x, y):
    classes, weights, omega = _pair(K_A, K_B), _pair(pi_A, pi_B), _pair(omega_A, omega_B)
    within, between = _coordinates(K_A, K_B, a, e, x, y)
    rival_counts = symmetry.count_rivals(classes)
    loss = CrossEntropy().on_groups(symmetry.margins(within, between, classes), rival_counts)
    pull, block = gradient(loss.wrong, rival_counts, classes, weights)
    cost = symmetry.spectral_cost(within, between, classes, omega)
    proof = duality_gap(Program(CrossEntropy(), classes, weights, omega, Budget(cost, cost)), within, between)
    norm = jnp.maximum(jnp.max(pull / omega), spectral.block_norm(block / omega))
    K, unscale = K_A + K_B, jnp.exp(-proof.log_scale)
    return {
        "gamma_A": pull[0],
        "gamma_B": pull[1],
        "g_x": -block[0, 0] * jnp.sqrt(K / K_B),
        "g_y": -block[1, 1] * jnp.sqrt(K / K_A),
        "rank_one_norm": spectral.block_norm(block / omega),
        "gap": Against(unscale * proof.direct, unscale * proof.value + norm * cost),
    }


def _slopes(forms, K_A, K_B, pi_A, pi_B, omega_A, omega_B, a, e, x, y) -> dict[str, Any]:
    import sympy as sp

    found = {
        "gamma_A": forms["gamma_A"](K_A, K_B, pi_A, a, x),
        "gamma_B": forms["gamma_B"](K_A, K_B, pi_B, e, y),
        "g_x": forms["g_x"](K_A, K_B, pi_A, a, x),
        "g_y": forms["g_y"](K_A, K_B, pi_B, e, y),
    }
    line = forms["rank_one_norm"](omega_A, omega_B, found["g_x"], found["g_y"])
    return found | {"gamma": sp.Max(found["gamma_A"] / omega_A, found["gamma_B"] / omega_B, line)}


def _shrinkage(lambda_, G):
    return {"scale": shrinkage(lambda_, G)}


# Deep squared error. Depths are static, so that each has a tie of its own.


def _linear(depth, groups, P, split=1.0, bias_decay=None, relu=False):
    """Weight matrices of equal decay, the features' ``split`` times that, P the product of all."""
    decay = (P / split) ** (1 / (depth + 1))
    return DeepLinear(groups, (decay,) * depth, split * decay, SquaredError(), bias_decay, relu)


def _at_root(depth, n_k, x, split=1.0):
    """Two classes whose singular value is x sqrt(n_k), the product of the decays being what that takes."""
    t = depth * x ** (1 - 1 / depth) * (1 - x) ** (1 + 1 / depth)
    return _linear(depth, ClassGroups.balanced(2, n_k), (t / (2 * depth)) ** depth / (2 * n_k), split)


def _alive_deep(depth):
    jump = (depth - 1) / depth
    return lambda share, **others: (*others.values(), jump + (1 - jump) * share)


def _root_of(depth):
    def forms(_, n_k, x, split=1):
        import sympy as sp

        from proofs import THEOREMS

        P = THEOREMS["deep_mse.threshold"].closed_forms["product"](depth, 2 * n_k, n_k, x)
        decay = (P / split) ** (sp.Integer(1) / (depth + 1))
        return {
            "M": depth,
            "N": 2 * n_k,
            "P": P,
            "sigma": sp.sqrt(n_k) * x,
            "Q": decay**depth,
            "lambda_H": split * decay,
        }

    return forms


def _shrunk(depth):
    def shrunk(n_k, x):
        solution = solve(_at_root(depth, n_k, x))
        # Two classes at a share n_k/(2N) = 1/4 each.
        return {"value": 2 * solution.value}

    shrunk.__name__ = f"_shrunk_at_depth_{depth}"
    return shrunk


def _norms(depth):
    def norms(n_k, split, x):
        solution = solve(_at_root(depth, n_k, x, split))
        return {"w_norm2": solution.w_norm2[0], "h_norm2": solution.h_norm2[0]}

    norms.__name__ = f"_norms_at_depth_{depth}"
    return norms


def _sample_thresholds(M, N, decay):
    return {
        "least_count": boundary.deep_mse(M, N, decay),
        "stationary_count": boundary.deep_mse(M, N, decay, stationary=True),
    }


def _centred_target(K_A, K_B, n_A, n_B):
    objective = _linear(2, ClassGroups(_pair(K_A, K_B), _pair(n_A, n_B)), 1e-9, bias_decay=0.0).objective()
    return {"between": jnp.max(objective.targets().size[2:]) ** 2}


def _mean_logit(K, n, lambda_b, share):
    """At a share of the least N lambda at which the mean logit vanishes."""
    decay = share * lambda_b / (1 + lambda_b) / (K * jnp.sqrt(n))
    problem = UnconstrainedFeatures(ClassGroups.balanced(K, n), decay, decay, SquaredError(), bias_decay=lambda_b)
    return {"mean": Against(jnp.sqrt(n) * solve(problem).between[0, 0], jnp.sqrt(n))}


def _mean_price(forms, K, n, lambda_b, share):
    import sympy as sp

    weight = forms["weight"](lambda_b)
    return {"N": K * n, "a": weight, "lambda": share * weight / (K * sp.sqrt(n))}


def _graph(depth):
    def graph(r):
        problem = _linear(depth, ClassGroups.balanced(r * (r - 1) / 2, 1.0), 1e-9, relu=True)
        return {"cost_ratio": jnp.exp(problem.objective().log_dearer(r))}

    graph.__name__ = f"_graph_at_depth_{depth}"
    return graph


# Deep cross-entropy.


def _pair_death(K_A, K_B, b, lambda_):
    """At the M for which b is the best size of a pair."""
    power = _power_of(jnp, K_A + K_B, b)
    return {"imbalance": boundary.deep_annihilated(K_A, K_B, 2 / power - 1, lambda_)}


def _power_of(nx, K, b):
    """2/(M + 1) = b gain'/gain."""
    total = 1 + nx.exp(-b) + (K - 2) * nx.exp(-b / 2)
    slope = (nx.exp(-b) + (K - 2) / 2 * nx.exp(-b / 2)) / total
    return b * slope / (nx.log(K) - nx.log(total))


def _kappa_of(forms, K_A, K_B, b, **decay):
    import sympy as sp

    power = _power_of(sp, K_A + K_B, b)
    return {"M": 2 / power - 1, "kappa": forms["gain"](K_A + K_B, b) / b**power}


def _relaxed(depth):
    def relaxed(U, c):
        decay = 2 * c / (depth + 1)
        problem = DeepLinear(ClassGroups.per_class(jnp.ones(3)), (decay,) * depth, decay)
        return {"decay": problem.objective().relaxed(U).program.charge.amount}

    relaxed.__name__ = f"_relaxed_at_depth_{depth}"
    return relaxed


def _depth(depth):
    return lambda _, **given: {"M": depth}


_TWO = {"K_A": _CLASSES, "K_B": _CLASSES}
_SCALARS = {name: (1e-3, 30.0) for name in ("a", "e", "x", "y")}
_WEIGHTED = {"pi_A": (1e-3, 1.0), "pi_B": (1e-6, 1.0), "omega_A": (0.1, 30.0), "omega_B": (0.1, 30.0)}
_COUNT = {"n_k": (1.0, 1e6)}
_SHARE = {"share": (1e-3, 0.999)}
_DECAYS = {"lambda_W": (1e-9, 1.0), "lambda_H": (1e-9, 1.0)}
_ONE_OF_EACH = {"K": _CLASSES, "E_W": _BUDGET, "E_H": _BUDGET}

TIES = (
    Tie("lpm.relaxation", _relaxation, _ONE_OF_EACH),
    Tie("lpm.balanced", _balanced, _ONE_OF_EACH),
    Tie(
        "ufm.balanced",
        _weight_decay,
        {"K": _CLASSES, "n": (1.0, 1e6), "share": (1e-12, 0.99), "split": (1e-3, 1e3)},
        place=_alive,
    ),
    Tie("lpm.two_group", _four_scalars, _TWO | _WEIGHTED | _SCALARS),
    Tie("lpm.two_group", _geometry, _TWO | _SCALARS, through=_sigma, reason=f"the cosines are {_CANCELS}"),
    Tie("lpm.one_scalar", _angles, _TWO | {"chi": (1e-8, 400.0)}, through=_h_of_chi),
    Tie(
        "lpm.one_scalar",
        _one_scalar,
        _TWO | {"s": _BUDGET, "share": (1e-4, 0.999)},
        place=_before_the_end,
        through=_h_of_chi,
        reason=f"N, e, sigma, log(1/t_B) and r cross zero or stay small, each {_CANCELS}",
    ),
    Tie(
        "lpm.kkt",
        _probabilities,
        _TWO | {"chi": (1e-6, 30.0), "l_A": (1e-6, 30.0), "share": (0.05, 20.0)},
        place=_comparable,
        through=_direction,
        reason="the code has log(1/t_B) as log(1/t_A) minus the log ratio, so they are kept comparable; margins over "
        "the other group and coordinates are sums of terms of either sign; a probability is the "
        "exponential of one and carries its absolute error",
    ),
    Tie(
        "lpm.unique",
        _one_group,
        _TWO | {"chi": (1e-6, 30.0), "l_A": (1e-6, 100.0)},
        through=_own_direction,
        reason=f"the coordinate is {_CANCELS}",
    ),
    Tie(
        "lpm.merging",
        _slack,
        _TWO | {"n_A": (1.0, 1e6), "n_B": (1.0, 1e6)} | _DECAYS,
        through=_weight_and_price,
        reason=f"the slack crosses zero at the merging criterion, {_CANCELS}",
    ),
    Tie("lpm.merged_boundary", _merged, _TWO | {"s": _BUDGET}, implicit=Implicit("y", "s", "s")),
    Tie(
        "lpm.annihilated_boundary",
        _annihilated,
        _TWO | {"share": (1e-6, 0.999)},
        place=_before_no_return,
        through=_spent_on_majority,
    ),
    Tie("lpm.annihilated_boundary", _annihilation_end, _TWO),
    Tie("lpm.minority_collapse", _growth, {"K_A": (2.0, 1e3), "K_B": (2.0, 1e3)}),
    Tie("lpm.oversampling", _oversampled, {"R": (1.0, 1e20), "w": (1.0, 1e20)}),
    Tie(
        "certificate.budget",
        _gap_terms,
        _TWO | _WEIGHTED | _SCALARS,
        through=_slopes,
        reason=f"the gap vanishes at optima, {_CANCELS}; the code adds an allowance for that rounding",
    ),
    Tie("certificate.penalty", _shrinkage, {"lambda_": (1e-9, 1.0), "G": (2e-9, 3.0)}),
    Tie(
        "ulpm.seli",
        _seli,
        _TWO | {"n_A": (1.0, 1e6), "n_B": (1.0, 1e6)},
        reason=f"cosines and the multipliers within a group are {_CANCELS}",
    ),
    *(Tie("deep_mse.threshold", _shrunk(M), _COUNT | _SHARE, _alive_deep(M), _root_of(M)) for M in (2, 6)),
    *(
        Tie("deep_mse.geometry", _norms(M), _COUNT | {"split": (1e-3, 1e3)} | _SHARE, _alive_deep(M), _root_of(M))
        for M in (2, 6)
    ),
    Tie("deep_mse.threshold", _sample_thresholds, {"M": (1.5, 50.0), "N": (1.0, 1e6), "decay": (1e-6, 1.0)}),
    Tie("deep_mse.free_bias", _centred_target, _TWO | {"n_A": (1.0, 1e6), "n_B": (1.0, 1e6)}),
    Tie(
        "deep_mse.bias_transition",
        _mean_logit,
        {"K": (2.0, 1e4), "n": (1.0, 1e6), "lambda_b": (1e-3, 1e3), "share": (1e-3, 0.999)},
        through=_mean_price,
        reason=f"the mean vanishes at the transition, {_CANCELS}",
    ),
    *(Tie("deep_relu.graph", _graph(M), {"r": (4.0, 1e3)}, through=_depth(M)) for M in (3, 6)),
    Tie(
        "deep_ce.pair_death",
        _pair_death,
        {"K_A": (2.0, 50.0), "K_B": (2.0, 50.0), "b": (0.3, 6.0), "lambda_": (1e-6, 1e-3)},
        through=_kappa_of,
    ),
    *(Tie("deep_ce.lower_bound", _relaxed(M), {"U": (1e-3, 3.0), "c": (1e-6, 1.0)}, through=_depth(M)) for M in (2, 5)),
)
