"""Squared error against one-hot targets."""

from typing import ClassVar

from .loss import ConvexLoss, GroupLoss, row_sums


class SquaredError(ConvexLoss):
    """Half squared error against one-hot targets, ``|z - e_k|^2 / 2``."""

    shift_invariant: ClassVar[bool] = False
    coercive: ClassVar[bool] = True
    vanishing: ClassVar[bool] = True

    def least_at(self, num_classes):
        """The one-hot targets themselves."""
        nx = num_classes.__array_namespace__()
        return nx.ones_like(num_classes)

    def margin_of(self, wrong, at, own, rival_counts):
        """Where the wrong class's logit is ``wrong``."""
        nx = wrong.__array_namespace__()
        return nx.maximum(own - wrong, 0.0)

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Needs ``own``."""
        nx = margins.__array_namespace__()
        wrong = own[..., None, :] - margins
        right = own - 1
        value = 0.5 * (right * right + nx.sum(rival_counts * wrong * wrong, axis=-2))
        zero = nx.zeros_like(wrong)
        return GroupLoss(value, wrong, right + nx.sum(rival_counts * wrong, axis=-2), nx.zeros_like(own), zero, zero)

    def fenchel_gap(self, at, rival_counts, wrong, total):
        """Half the squared distance of the two gradients."""
        nx = at.value.__array_namespace__()
        change = wrong - at.wrong
        right = total - at.total - nx.sum(rival_counts * change, axis=-2)
        return 0.5 * (right * right + nx.sum(rival_counts * change * change, axis=-2))

    def without_row_sums(self, at, rival_counts, classes, weights):
        """Subtract the weighted mean gradient from every sample's."""
        nx = at.value.__array_namespace__()
        mean = row_sums(at.wrong, rival_counts, weights, at.total)
        wrong = at.wrong - mean[..., :, None]
        return wrong, at.total - mean - nx.sum(rival_counts * mean[..., :, None], axis=-2)

    def best_bias(self, sums, decay):
        """The loss curves by the sum of all weights, which is 1."""
        return -sums / (1 + decay)

    def noise(self, rounding, rival_counts):
        """Half the squared rounding of every logit."""
        nx = rounding.__array_namespace__()
        return 0.5 * (rounding * rounding)[..., None] * (1 + nx.sum(rival_counts, axis=-2))
