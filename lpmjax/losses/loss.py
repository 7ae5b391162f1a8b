"""Losses of the logits, written on groups: margins of one class over the others and how many others there are."""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float


class GroupLoss(NamedTuple):
    """Loss of one sample of each group, and its gradient by the logits."""

    value: Float[Array, "*batch G"]  #: nats (squared error: squared logits)
    wrong: Float[Array, "*batch J G"]  #: [j, g] derivative by the logit of one wrong class of group j
    total: Float[Array, "*batch G"]  #: sum of the derivatives by all logits, the right one's included
    log_right: Float[Array, "*batch G"]  #: log-probability of the right class (squared error: 0)
    softmax: Float[Array, "*batch J G"]  #: [j, g] probability of one wrong class of group j (squared error: 0)
    log_softmax: Float[Array, "*batch J G"]  #: its logarithm, finite where it underflows


class Loss(eqx.Module):
    """Loss of one sample: a function of its logits and its class, the same for every class."""

    #: whether adding one number to all logits leaves the loss alone; then optimal logits sum to zero over classes
    shift_invariant: ClassVar[bool] = True
    #: whether finite logits minimise it: a norm budget that reaches them does not bind
    coercive: ClassVar[bool] = False
    #: whether the minimum is 0 and attained: its logarithm has no minimum, and a gap no value to be relative to
    vanishing: ClassVar[bool] = False
    #: of a loss that is not convex: whether, of all logits that are a given margin above the mean of their rivals,
    #: equal rivals are the least loss, and that falls concavely up to some margin and convexly beyond
    sigmoidal: ClassVar[bool] = False

    @abc.abstractmethod
    def on_groups(self, margins: Any, rival_counts: Any, own: Any = None) -> GroupLoss:
        """Evaluate at ``margins[j, g]``, the margin of a class of group g over each of
        ``rival_counts[j, g]`` in group j.

        ``own`` (G,), the logit of the right class, is needed by losses that are not shift-invariant.
        """

    def fit(self, num_groups: int) -> None:
        """ValueError unless parameters that a loss has for each group are as many."""

    def of_classes(self, index: Any) -> "Loss":
        """The same where every class is a group of its own, ``index`` (K,) its group here."""
        return self

    def offsets(self, samples: Any) -> Any:
        """(G,) constants that the loss adds to the logits of each class, or None."""
        return None

    @property
    def contrast(self) -> Any:
        """Derivative by the logit of a wrong class less that of the right one, where the two are equal; NaN for a loss
        of which it is no constant."""
        return float("nan")

    @property
    def minorant(self) -> Any:
        """Of a loss that is not convex: a :class:`ConvexLoss` nowhere above it, of whose optimum something is left;
        or None."""
        return None

    def least_at(self, num_classes: Any) -> Any:
        """Margin of the right class over every other one where a ``coercive`` loss is least."""
        raise NotImplementedError(f"{type(self).__name__} is not coercive.")

    def log_scale(self, margins: Any, rival_counts: Any) -> Any:
        """c >= 0 such that the loss is ``exp(-c)`` times that at ``margins - c`` to rounding: it may underflow."""
        nx = margins.__array_namespace__()
        return nx.zeros(margins.shape[:-2], margins.dtype)


class ConvexLoss(Loss):
    """A loss that is convex in the logits brings its Fenchel gap, so that every solution can be certified."""

    @abc.abstractmethod
    def fenchel_gap(self, at: GroupLoss, rival_counts: Any, wrong: Any, total: Any) -> Float[Array, "*batch G"]:
        """``loss(z) + conjugate(y) - <y, z> >= 0`` for another gradient y, given as in :class:`GroupLoss`."""

    @abc.abstractmethod
    def without_row_sums(self, at: GroupLoss, rival_counts: Any, classes: Any, weights: Any) -> tuple[Any, Any]:
        """(wrong, total) of a nearby dual point whose weighted gradients sum to zero over samples, for a free bias."""

    def largest_scale(self, at: GroupLoss, rival_counts: Any) -> Float[Array, "*batch G"]:
        """A factor >= 1 by which the gradient can be multiplied and still be one of this loss, at other logits."""
        nx = at.value.__array_namespace__()
        return nx.ones_like(at.value)

    def best_bias(self, sums: Any, decay: Any) -> Any:
        """(G,) bias at which the loss plus ``decay / 2`` times its square is least, where that has a closed form:
        ``sums`` are the derivatives of the loss by it at a bias of zero."""
        return None

    def noise(self, rounding: Any, rival_counts: Any) -> Any:
        """(G,) Fenchel gap between a computed gradient and the exact one, where logits are rounded by ``rounding``.

        Of a loss that is not shift-invariant; elsewhere rounding is relative to the loss.
        """
        raise NotImplementedError

    @property
    def contrast(self) -> Any:
        """1, unless a loss says something else."""
        return 1.0

    def margin_of(self, wrong: Any, at: GroupLoss, own: Any, rival_counts: Any) -> Any:
        """(G,) margin >= 0 over one more wrong class whose derivative is to be ``wrong``; the others' mass is left."""
        nx = wrong.__array_namespace__()
        right = nx.exp(at.log_right)
        reached = (wrong > 0) & (wrong < right)
        return nx.where(reached, at.log_right - nx.log(nx.where(reached, wrong, 1.0)), 0.0)


def row_sums(wrong, rival_counts, weights, total):
    """(G,) derivative of the loss by the bias of one class of each group; arguments as in :class:`GroupLoss`."""
    nx = wrong.__array_namespace__()
    right = weights * (total - nx.sum(rival_counts * wrong, axis=-2))
    return right + nx.sum(nx.swapaxes(rival_counts, -1, -2) * weights[..., None, :] * wrong, axis=-1)
