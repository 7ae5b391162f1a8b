"""Two groups of equal classes, cross-entropy, L = 2: the exact optimum from one scalar root.

Every invariant optimum is the in-group margins (a, e) and a rank-one part of singular value sigma whose right
vector is (cos theta, -sin theta). Given theta, stationarity fixes the two log-ratios of in-group to cross-group
probability; after that the budget (or the multiplier) equation is *linear*, so a, e and sigma are explicit, and
one scalar equation remains:

    log(1/t_A) - log(1/t_B) = log((weight_A / omega_A) / (weight_B / omega_B)),    t_g = multiplier omega_g / weight_g.

Its left side increases along the path from the simplex ETF (chi = 0) to theta = 0 (chi = inf), because each theta
is the optimum of one convex problem and that optimum is unique (``proofs``: ``lpm.one_scalar``, ``lpm.unique``).
Everything is elementwise and stays in the log domain: R = 1e20 and s = 100 are ordinary.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..charge import Budget
from ..duality import Program
from ..objectives.of_groups import GroupCoordinates
from .margins import log_partition, margin_at
from .scalar import increasing_root
from .solver import Candidate, TracedSolver


class TwoGroupProgram(NamedTuple):
    """One two-group program, majority first: ``log_ratio`` = log t_B - log t_A and ``omega`` = omega_B / omega_A."""

    K_A: Array
    K_B: Array
    log_ratio: Array
    omega: Array
    #: budget / omega_A for the constrained form; log(1/t_A) for the penalised form
    resource: Array


class _Angle(NamedTuple):
    """theta in units of the simplex ETF's: every entry is accurate to a few ulps for K from 2 to 1e6."""

    ratio: Array  # 1 - K_A h / K = 1 / cosine
    cosine: Array  # cos(theta) / cos(theta_ETF) >= 1
    sine: Array  # sin(theta) / sin(theta_ETF) <= 1
    sine_root: Array  # sine = exp(-chi / 2) sine_root / ratio
    short: Array  # (1 - sine) K / K_B, without the difference
    in_A: Array  # log(rho_A / p_A) = u >= 0: cross over in-group probability for the majority
    in_B: Array  # log(p_B / rho_B) for a minority that is not merged
    h: Array  # 1 - exp(-u)


def angle_at(chi, K_A, K_B) -> _Angle:
    """The right vector's angle at this coordinate, with what the two states need of it and no cancellation."""
    K = K_A + K_B
    share, step = K_A / K, 1 / (1 + jnp.sqrt(K_B / K))
    h = -jnp.expm1(-chi) * step
    ratio = 1 - h * share
    cosine = 1 / ratio
    sine_root = jnp.sqrt(1 - h * share * step)
    sine = jnp.exp(-0.5 * chi) * sine_root * cosine
    short = h * (2 - h * share) * cosine * cosine / (1 + sine)
    return _Angle(ratio, cosine, sine, sine_root, short, -jnp.log1p(-h), jnp.log1p(short / sine), h)


class _State(NamedTuple):
    a: Array
    e: Array
    sigma: Array
    spare: Array  # > 0 exactly while sigma > 0: annihilation is its zero
    log_inv_t_A: Array
    residual: Array
    magnitude: Array  # of the terms that the residual was summed from


def _majority_log_inv_t(a, angle: _Angle, K):
    """log(1/t_A), relatively accurate also near zero."""
    return log_partition(a, (1 - angle.h) * angle.cosine / K)


def _minority_log_inv_t(chi, lane: TwoGroupProgram, angle: _Angle, sigma, e):
    """log(1/t_B) from the softmax; log(sine) is written out so that it survives where the sine underflows."""
    K_A, K_B = lane.K_A, lane.K_B
    margin = e + (angle.sine * sigma / lane.omega - e) / K_B
    inverse_P = K_A * jnp.exp(-margin) + 1 + (K_B - 1) * jnp.exp(-e)
    return margin - 0.5 * chi + jnp.log(angle.sine_root * angle.cosine * inverse_P / (K_A + K_B))


def budget_state(chi, lane: TwoGroupProgram) -> _State:
    """Budget form: (K_A-1) a + (K_B-1) omega e + sigma = resource, solved for sigma at this angle."""
    K_A, K_B, omega = lane.K_A, lane.K_B, lane.omega
    angle = angle_at(chi, K_A, K_B)
    spare = lane.resource - K_A * (K_A - 1) * angle.in_A
    weight_A = 1 + (K_A - 1) * angle.cosine
    weight = weight_A + (K_B - 1) * angle.sine
    surplus = angle.sine * spare / omega - K_B * angle.in_B * weight_A
    separated = surplus > 0
    # One choice for each: at the kink a compiler may round ``surplus`` to either side, once here and once there.
    e = jnp.where(separated, surplus / weight, 0.0)
    sigma = jnp.where(separated, (spare + K_B * (K_B - 1) * omega * angle.in_B) / weight, spare / weight_A)
    a = angle.cosine * sigma + K_A * angle.in_A
    log_inv_t_A = _majority_log_inv_t(a, angle, K_A + K_B)
    residual = log_inv_t_A - _minority_log_inv_t(chi, lane, angle, sigma, e) - lane.log_ratio
    return _State(a, e, sigma, spare / lane.resource, log_inv_t_A, residual, 1 + a + e + lane.log_ratio)


def penalty_state(chi, lane: TwoGroupProgram) -> _State:
    """Penalised form: t_A is given, so the margin a and with it sigma follow at this angle; so does e where t_B < 1."""
    K_A, K_B, omega, log_inv_t_A = lane.K_A, lane.K_B, lane.omega, lane.resource
    angle = angle_at(chi, K_A, K_B)
    alive_A = log_inv_t_A > 0
    log_k_A = jnp.log((1 - angle.h) / (angle.ratio * (K_A + K_B)))
    a = jnp.where(alive_A, margin_at(jnp.where(alive_A, log_inv_t_A, 1.0), log_k_A), 0.0)
    spare = a - K_A * angle.in_A
    sigma = spare / angle.cosine
    log_inv_t_B = log_inv_t_A - lane.log_ratio
    separated = log_inv_t_B > 0
    log_k_B = jnp.log((1 + angle.short * K_A / (K_A + K_B)) / (K_A + K_B))  # of (1 - sine K_A / K) / K_B
    margin_B = margin_at(jnp.where(separated, log_inv_t_B, 1.0), log_k_B)
    left_B = angle.sine * sigma / omega - K_B * angle.in_B
    e = jnp.where(separated, margin_B, 0.0)
    residual = jnp.where(separated, margin_B - left_B, log_inv_t_B - _minority_log_inv_t(chi, lane, angle, sigma, e))
    magnitude = 1 + a + K_B * angle.in_B + jnp.abs(lane.log_ratio) + K_A * angle.in_A
    return _State(a, e, sigma, spare, log_inv_t_A, residual, magnitude)


def _budget_equation(chi, lane: TwoGroupProgram):
    """The scalar equation; the bracket ends where sigma would turn negative."""
    state = budget_state(chi, lane)
    return state.residual, state.magnitude


def _penalty_equation(chi, lane: TwoGroupProgram):
    """The scalar equation; where sigma would turn negative the annihilation equation takes over."""
    state = penalty_state(chi, lane)
    value = jnp.where(state.residual >= -state.spare, state.residual, -state.spare)
    return value, state.magnitude


def _merging_equation(chi, lane: TwoGroupProgram):
    """log of (in-group margin that a minority needs) / (what the budget leaves it): zero where e reaches zero."""
    K_A, K_B = lane.K_A, lane.K_B
    angle = angle_at(chi, K_A, K_B)
    spare = lane.resource - K_A * (K_A - 1) * angle.in_A
    needed = K_B * angle.in_B * (1 + (K_A - 1) * angle.cosine)
    return jnp.log(needed * lane.omega / (spare * angle.sine)), jnp.ones_like(chi)


def annihilation_angle(lane: TwoGroupProgram):
    """chi at which a budget is spent on the majority alone; inf where theta = 0 comes first."""
    u = lane.resource / jnp.where(lane.K_A > 1, lane.K_A * (lane.K_A - 1), 1.0)
    reached = -jnp.expm1(-u) * (1 + jnp.sqrt(lane.K_B / (lane.K_A + lane.K_B)))
    exists = (lane.K_A > 1) & (reached < 1)
    return jnp.where(exists, -jnp.log1p(-jnp.where(exists, reached, 0.0)), jnp.inf)


def _last_angle(lane: TwoGroupProgram, largest_sigma):
    """chi beyond which the scalar equation is positive: there log(1/t_B) <= log(sine) + 1 <= 0 (or e would be < 0)."""
    log_cos_etf = 0.5 * jnp.log(lane.K_B / (lane.K_A + lane.K_B))
    needed = jnp.maximum(jnp.maximum(lane.log_ratio, 0.0) + 1, jnp.log(largest_sigma / lane.omega))
    return 2 * (needed - log_cos_etf)


def _merging_guess(lane: TwoGroupProgram, upper):
    """Where the merging equation, linear in u for a small budget and logarithmic for a large one, is about zero."""
    K_A, K = lane.K_A, lane.K_A + lane.K_B
    u = lane.resource / (K_A * (K - 1))
    reached = -jnp.expm1(-u) * (1 + jnp.sqrt(lane.K_B / K))
    small = reached < 0.9
    guess = jnp.where(small, -jnp.log1p(-jnp.where(small, reached, 0.0)), 2.3 + 2 * jnp.log1p(jnp.log1p(u)))
    return jnp.minimum(guess, 0.999 * upper)


def _budget_guess(lane: TwoGroupProgram, end):
    """Where the tangent at the ETF reaches the weight ratio, but not much beyond the kink, where the function is flat.

    At the ETF the margin is ``m = resource / (K - 1)``, for omega_A = omega_B, and the slope
    ``(m + K - 1 + exp(-m)) / ((1 + cos theta) (1 + (K - 1) exp(-m)))``.
    """
    K = lane.K_A + lane.K_B
    m = lane.resource / (K - 1)
    x = jnp.exp(-m)
    tangent = lane.log_ratio * (1 + jnp.sqrt(lane.K_B / K)) * (1 + (K - 1) * x) / (m + K - 1 + x)
    return jnp.minimum(tangent, _merging_guess(lane, end))


def _order(program: Program) -> tuple[TwoGroupProgram, Bool[Array, ""], Array]:
    """The lane with its majority first, whether the caller's groups were swapped for it, and its log(weight / omega).

    The majority is the group with the larger margin at the ETF angle, so that the root has chi >= 0; or the only one.
    """
    classes, omega = program.classes, program.omega
    log_rate = jnp.log(program.weights) - jnp.log(omega)
    if isinstance(program.charge, Budget):
        swap = log_rate[1] > log_rate[0]
    else:
        log_inv_t = log_rate - jnp.log(program.charge.amount)
        alive = log_inv_t > 0
        at_etf = margin_at(jnp.where(alive, log_inv_t, 1.0), -jnp.log(jnp.sum(classes)))
        margin = jnp.where(alive, omega * at_etf, log_inv_t)
        swap = margin[1] > margin[0]
    swap = (classes[0] == 0) | ((classes[1] > 0) & swap)
    first, second = jnp.where(swap, 1, 0), jnp.where(swap, 0, 1)
    if isinstance(program.charge, Budget):
        resource = program.charge.amount / omega[first]
    else:
        resource = log_rate[first] - jnp.log(program.charge.amount)
    log_ratio = log_rate[first] - log_rate[second]
    return (
        TwoGroupProgram(classes[first], classes[second], log_ratio, omega[second] / omega[first], resource),
        swap,
        log_rate[first],
    )


def merging_angle(lane: TwoGroupProgram, max_steps: int):
    """chi at which the in-group margin of the minority reaches zero on the budget (K_B >= 2)."""
    upper = annihilation_angle(lane)
    return increasing_root(_merging_equation, lane, _merging_guess(lane, upper), upper, max_steps)


def merged_log_ratio(lane: TwoGroupProgram, max_steps: int):
    """log of the weight ratio from which the minority is merged, at this budget."""
    return budget_state(merging_angle(lane, max_steps).x, lane).log_inv_t_A


def annihilated_log_ratio(lane: TwoGroupProgram):
    """log of the weight ratio from which the minority is annihilated, at this budget; inf where it never is."""
    end = annihilation_angle(lane)
    exists = jnp.isfinite(end)
    chi = jnp.where(exists, end, 1.0)
    K = lane.K_A + lane.K_B
    angle = angle_at(chi, lane.K_A, lane.K_B)
    # There y = 0 = e, so log(1/t_B) is log(sine), from 1 - sine where that is small.
    loss = angle.short * lane.K_B / K
    near = loss < 0.5
    far = -0.5 * chi + jnp.log(angle.sine_root / angle.ratio)
    log_sine = jnp.where(near, jnp.log1p(-jnp.where(near, loss, 0.0)), far)
    a = lane.resource / jnp.where(lane.K_A > 1, lane.K_A - 1, 1.0)
    return jnp.where(exists, _majority_log_inv_t(a, angle, K) - log_sine, jnp.inf)


def _budget_root(lane: TwoGroupProgram, max_steps: int):
    """The root, and whether the minority is annihilated."""
    end = annihilation_angle(lane)
    annihilated = lane.log_ratio >= annihilated_log_ratio(lane)
    balanced = lane.log_ratio == 0  # the simplex ETF itself, chi = 0, at the edge of the bracket
    upper = jnp.minimum(end, _last_angle(lane, lane.resource))
    start = jnp.where(annihilated, end, jnp.where(balanced, 0.0, jnp.minimum(_budget_guess(lane, end), upper)))
    root = increasing_root(_budget_equation, lane, start, upper, max_steps, known=annihilated | balanced)
    # An annihilated lane stays at the end of the bracket, which moves with the budget.
    return root._replace(x=jnp.where(annihilated, end, root.x)), annihilated


def _penalty_root(lane: TwoGroupProgram, max_steps: int):
    """The root; what is annihilated is known from the state there."""
    # sigma <= a, and a is largest at theta = 0, where k = 1 / (K (1 + cos theta_ETF)).
    K = lane.K_A + lane.K_B
    alive = lane.resource > 0
    largest = margin_at(jnp.where(alive, lane.resource, 1.0), -jnp.log(K * (1 + jnp.sqrt(lane.K_B / K))))
    upper = _last_angle(lane, jnp.where(alive, largest, jnp.finfo(largest.dtype).tiny))
    return increasing_root(_penalty_equation, lane, jnp.zeros_like(upper), upper, max_steps), jnp.bool_(False)


def rank_one(K_A, K_B, x, y):
    """``between`` of left vector (sqrt K_B, -sqrt K_A) / sqrt K, right vector (x sqrt K_B, -y sqrt K_A) / sqrt K."""
    K = K_A + K_B
    mean_root = jnp.sqrt(K_A * K_B) / K  # without square roots of ratios of K
    return (x * K_B / K, -y * mean_root), (-x * mean_root, y * K_A / K)


class TwoGroup(TracedSolver):
    """Optimum of a two-group cross-entropy problem, budget or penalty form, in any phase and for any group sizes."""

    name = "two_group"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Root of one scalar equation, and the block that belongs to it."""
        program = objective.program
        budget = isinstance(program.charge, Budget)
        lane, swap, log_rate = _order(program)
        slack_gap = lane.log_ratio
        # An absent group leaves the balanced problem: the ETF, whatever root a lane of one class more has.
        lone = lane.K_B == 0
        lane = lane._replace(K_B=jnp.where(lone, 1.0, lane.K_B), log_ratio=jnp.where(lone, 0.0, slack_gap))
        root, annihilated = (_budget_root if budget else _penalty_root)(lane, self.max_steps)
        chi = jnp.where(lone, 0.0, root.x)
        # So few classes that sums do not feel them, for the formulas divide by them.
        lane = lane._replace(K_B=jnp.where(lone, jnp.sqrt(jnp.finfo(chi.dtype).tiny), lane.K_B))
        state = (budget_state if budget else penalty_state)(chi, lane)
        angle = angle_at(chi, lane.K_A, lane.K_B)

        alive = ~(lone | annihilated) & (state.sigma > 0)
        if not budget:
            alive = alive & ~(state.residual < -state.spare)
        sigma = jnp.where(alive, state.sigma, 0.0)
        # A group of one class keeps the limit of its in-group margin: no logit feels it, but derivatives by K do.
        within = state.a, jnp.where(alive, state.e, 0.0)
        slack = state.log_inv_t_A, state.log_inv_t_A - slack_gap
        (AA, AB), (BA, BB) = rank_one(lane.K_A, lane.K_B, angle.cosine * sigma, angle.sine * sigma / lane.omega)

        def in_order(first, second):
            return jnp.where(swap, second, first), jnp.where(swap, first, second)

        (AA, BB), (AB, BA) = in_order(AA, BB), in_order(AB, BA)
        at = GroupCoordinates(
            within=jnp.stack(in_order(*within)),
            between=jnp.stack([AA, AB, BA, BB]).reshape(2, 2),
            slack=jnp.stack(in_order(*slack)),
        )
        log_multiplier = log_rate - state.log_inv_t_A if budget else jnp.log(program.charge.amount)
        return Candidate(at, log_multiplier, root.steps, root.converged | lone)
