"""Stand-alone check of an interval written by ``RigorousBound.to_json``: needs Python and python-flint, nothing else.

    python check_interval.py FILE.json          (python -m lpmjax.check_interval FILE.json imports lpmjax as well)

Exit code 0: the optimum of the problem in the file lies in the interval in the file. 1: refused. Nothing in the file is
believed: candidate logits Z, the number nu and the matrix F of its "proof" only say where to look, and every step below
is in ball arithmetic (each ball contains the exact result, comparisons hold for all of it).

The problem: K_g classes in group g = 1..G, loss weight pi_g of a class proportional to ``weights``; minimise
f(Z) = sum_k pi_k CE(z_k + b, k), one column of logits z_k per class, CE = -log softmax, subject to ||Z diag(omega)||_*
<= tau (LayerPeeled: omega = 1, tau = K sqrt(E_W E_H)) or plus lambda ||Z diag(omega)||_* (UnconstrainedFeatures:
omega = sqrt(samples), lambda = sqrt(lambda_W lambda_H)), with rank(Z) <= dim unless that is null. Bias b: null is none,
"free", or a number lambda_b that adds (lambda_b / 2) |b|^2. Every number is the binary64 nearest to its decimal.

Candidate: Z = (+)_g within_g (I - J/K_g) + sum_jg M_jg 1_j 1_g^T / sqrt(K_j K_g), M diag(omega) = left^T right, so
||Z diag(omega)||_* <= sum_g (K_g - 1) omega_g |within_g| + (|left|^2 + |right|^2) / 2 (Frobenius norms).
Lower bound, for any probabilities p_k, with A = (sum of pi_k (p_k - e_k) e_k^T) diag(1/omega) (Fenchel and Young):
f(Z) >= sum_k pi_k entropy(p_k) + <A, Z diag(omega)> + <q, b>, q = sum_k pi_k (p_k - e_k); <A, .> >= -||A||_2 ||.||_*.
||A||_2 is the larger of its in-group values and ||B||_2 of its G x G block B, and for every nu > 0 and F
||B||_2^2 <= nu^2 (1 + ||I - B^T B / nu^2 - F^T F||_F), since x^T F^T F x >= 0.
"""

import json
import math
import sys
from typing import Any

from flint import arb, arb_mat, ctx

SCHEMA = "lpmjax.interval/1"
BITS = 192  #: working precision: the width comes from the file's own 53-bit numbers
PARAMETERS = {"LayerPeeled": ("E_W", "E_H"), "UnconstrainedFeatures": ("lambda_W", "lambda_H")}


def require(condition: Any, why: str) -> None:
    """Refuse the file unless ``condition`` is certain (not an assert: those can be switched off)."""
    if condition is not True:
        raise ValueError(why)


def keys(record: Any, expected: set[str], what: str) -> None:
    """Refuse missing keys, and unknown ones: what they seem to say would not be checked."""
    require(isinstance(record, dict) and set(record) == expected, f"{what} must have the keys {sorted(expected)}")


def number(x: Any) -> arb:
    """Finite binary64 number, exactly."""
    require(isinstance(x, (int, float)) and not isinstance(x, bool), f"{x!r} is not a number")
    require(math.isfinite(float(x)), f"{x!r} is not finite")
    return arb(float(x))


def vector(x: Any, size: int, above: float = -math.inf) -> list[arb]:
    """``size`` numbers, each larger than ``above``."""
    require(isinstance(x, list) and len(x) == size, f"a list of {size} numbers is needed")
    entries = [number(entry) for entry in x]
    require(all(entry > above for entry in entries), f"every entry must be larger than {above}")
    return entries


def matrix(x: Any, columns: int) -> arb_mat:
    """Any number of rows of ``columns`` numbers."""
    require(isinstance(x, list), "a list of rows is needed")
    return arb_mat(len(x), columns, [entry for row in x for entry in vector(row, columns)])


def total(entries: Any) -> arb:
    """Sum of balls."""
    return sum(entries, arb(0))


def square(A: arb_mat) -> arb:
    """At least the squared Frobenius norm, and not negative."""
    return total(entry.abs_upper() ** 2 for entry in A.entries())


class Problem:
    """The numbers of the problem, in balls."""

    def __init__(self, given: Any):
        require(given["type"] in PARAMETERS, f"unknown problem type {given['type']!r}")
        names = PARAMETERS[given["type"]]
        keys(given, {"type", "classes", "samples", "weights", "dim", "bias", *names}, "problem")
        self.G = len(given["classes"])
        self.K = vector(given["classes"], self.G, above=0)
        require(all(k.is_integer() for k in self.K) and total(self.K) >= 2, "classes must be whole numbers, 2 in all")
        raw = arb_mat(self.G, 1, vector(given["weights"], self.G, above=0))
        self.pi = (raw / (arb_mat(1, self.G, self.K) * raw)[0, 0]).entries()
        self.mass = [k * pi for k, pi in zip(self.K, self.pi, strict=True)]
        samples = vector(given["samples"], self.G, above=0)
        scale = [x.sqrt() for x in vector([given[name] for name in names], 2, above=0)]
        self.penalised = given["type"] == "UnconstrainedFeatures"
        self.omega = [n.sqrt() if self.penalised else arb(1) for n in samples]
        self.price = scale[0] * scale[1]  #: lambda
        self.budget = total(self.K) * self.price  #: tau
        self.dim = None if given["dim"] is None else vector([given["dim"]], 1, above=0)[0]
        require(self.dim is None or self.dim.is_integer(), "dim must be a whole number or null")
        self.bias = given["bias"]
        self.decay = arb(0) if self.bias in (None, "free") else vector([self.bias], 1, above=0)[0]


def primal(problem: Problem, proof: Any) -> tuple[arb, list[list[arb]]]:
    """Upper bound, and wrong[j][g]: probability of one wrong class of group j for a class of group g."""
    G, K, omega, groups = problem.G, problem.K, problem.omega, range(problem.G)
    within, bias = vector(proof["within"], G), vector(proof["bias"], G)
    left, right = matrix(proof["left"], G), matrix(proof["right"], G)
    require(problem.bias is not None or all(b == 0 for b in bias), "the problem has no bias")
    require(left.nrows() == right.nrows(), "left and right need equally many rows")
    rank = left.nrows() + total(K[g] - 1 for g in groups if within[g] != 0)
    require(problem.dim is None or rank <= problem.dim, "the candidate has a rank above dim")
    cost = total((K[g] - 1) * omega[g] * abs(within[g]) for g in groups) + (square(left) + square(right)) / 2
    onto = arb(1) if problem.penalised or cost < problem.budget else problem.budget / cost
    M = left.transpose() * right
    value = problem.price * cost if problem.penalised else arb(0)
    value += problem.decay / 2 * total(K[g] * bias[g] ** 2 for g in groups)
    wrong = [[arb(0)] * G for _ in groups]
    for g in groups:
        own = onto * (within[g] * (1 - 1 / K[g]) + M[g, g] / omega[g] / K[g]) + bias[g]
        for j in groups:
            shared = onto * M[j, g] / omega[g] / (K[j] * K[g]).sqrt()
            wrong[j][g] = (-onto * within[g] if j == g else shared + bias[j] - own).exp()
        rivals = total((K[j] - (j == g)) * wrong[j][g] for j in groups)
        value += problem.mass[g] * rivals.log1p()
        for j in groups:
            wrong[j][g] /= 1 + rivals
    return value, wrong


def rebalance(problem: Problem, wrong: list[list[arb]]) -> list[arb]:
    """(G,) K_g q_g. For a free bias q = 0 identically, by sending what a group gains or lacks to or from a hub.

    Balls cannot prove an equality, and need not: the exact numbers in them satisfy it.
    """
    K, mass, groups = problem.K, problem.mass, range(problem.G)
    q = [total(mass[j] * K[g] * wrong[g][j] - mass[g] * K[j] * wrong[j][g] for j in groups if j != g) for g in groups]
    if problem.bias != "free":
        return q
    hub = max(groups, key=lambda g: mass[g].mid())
    for g in groups:
        if g != hub:
            wrong[hub][g] += q[g].max(arb(0)) / (mass[g] * K[hub])
            wrong[g][hub] += (-q[g]).max(arb(0)) / (mass[hub] * K[g])
    return [arb(0)] * problem.G


def gradient(problem: Problem, wrong: list[list[arb]]) -> tuple[arb, arb_mat]:
    """A: its largest in-group singular value, and its G x G block B."""
    K, pi, omega, groups = problem.K, problem.pi, problem.omega, range(problem.G)
    leaving = [pi[g] * total(K[j] * wrong[j][g] for j in groups if j != g) for g in groups]
    inner = arb(0)
    for g in groups:
        if K[g] > 1:
            inner = inner.max((K[g] * pi[g] * wrong[g][g] + leaving[g]) / omega[g])
    across = [[pi[g] * (K[j] * K[g]).sqrt() * wrong[j][g] for g in groups] for j in groups]
    return inner, arb_mat([[(-leaving[g] if j == g else across[j][g]) / omega[g] for g in groups] for j in groups])


def bounds(record: Any) -> tuple[arb, arb]:
    """(lower, upper): the optimum is at least the one and at most the other."""
    problem, proof = Problem(record["problem"]), record["proof"]
    keys(proof, {"within", "left", "right", "bias", "norm", "factor"}, "proof")
    G, K, groups = problem.G, problem.K, range(problem.G)
    upper, wrong = primal(problem, proof)
    q = rebalance(problem, wrong)
    norm, B = gradient(problem, wrong)
    nu, F = vector([proof["norm"]], 1, above=0)[0], matrix(proof["factor"], G)
    B *= 1 / nu
    eye = arb_mat(G, G, [int(i == j) for i in groups for j in groups])
    norm = norm.max(nu * (1 + square(eye - B.transpose() * B - F.transpose() * F).sqrt()).sqrt())
    # A penalty is met by shrinking p - e, hence A and q: then lambda ||.||_* pays for <A, .>.
    shrink = (problem.price / norm).min(arb(1)) if problem.penalised else arb(1)
    lower = arb(0) if problem.penalised else -problem.budget * norm
    if problem.decay > 0:
        lower -= shrink**2 * total(x**2 / k for x, k in zip(q, K, strict=True)) / (2 * problem.decay)
    for g in groups:
        rivals = [((K[j] - (j == g)), shrink * wrong[j][g]) for j in groups]
        missed = total(count * p for count, p in rivals)
        lower -= problem.mass[g] * ((1 - missed) * (-missed).log1p() + total(n * p * p.log() for n, p in rivals))
    return lower if lower > 0 else arb(0), upper  # every term of the objective is >= 0


def check(record: Any) -> str:
    """What the file proves, in words; ValueError if it does not prove what it claims."""
    keys(record, {"schema", "problem", "proof", "interval"}, "the file")
    require(record["schema"] == SCHEMA, f"the schema must be {SCHEMA!r}")
    keys(record["interval"], {"lower", "upper"}, "interval")
    claimed = record["interval"]
    with ctx.workprec(BITS):
        lower, upper = bounds(record)
        low, high = number(claimed["lower"]), number(claimed["upper"])
        require(low <= lower, f"lower = {claimed['lower']!r} is not proved, only {lower.lower().str(17)}")
        require(upper <= high, f"upper = {claimed['upper']!r} is not proved, only {upper.upper().str(17)}")
        width = (high - low) / low if low > 0 else arb(math.inf)
        problem = record["problem"]
        named = ", ".join(f"{name} = {problem[name]!r}" for name in (*PARAMETERS[problem["type"]], "dim", "bias"))
        kind = f"{problem['type']}, {sum(problem['classes']):g} classes in {len(problem['classes'])} groups, {named}"
        return f"{kind}:\n{claimed['lower']!r} <= optimum <= {claimed['upper']!r}, relative width {float(width):.2g}"


def _once(pairs: list) -> dict:
    """A JSON object, unless a key is there twice: readers would see different statements."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key occurs twice among {', '.join(key for key, _ in pairs)}")
    return found


def main(arguments: list[str]) -> int:
    """Exit code for the command line."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            print(f"proved: {check(json.load(file, object_pairs_hook=_once))}")
    except Exception as error:  # whatever is wrong with a file, it proves nothing
        print(f"REFUSED: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
