"""Networks without biases: perceptrons, a small convolutional one, and the peeled models that stand for them in theory.

All are homogeneous in each weight, so that at a stationary point with equal decays the squared norms of all
weights are equal, up to the corner of the ReLU. That corner is rounded: under weight decay pre-activations come to rest
on it, where the gradient of a sharp one jumps and no gradient norm says that training is done.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

#: from 0 up to this pre-activation the ReLU is a parabola
_CORNER = 0.1


class Network(eqx.Module):
    """Weights from the first layer to the classifier, and how an input goes through them."""

    weights: eqx.AbstractVar[tuple[Array, ...]]

    @abstractmethod
    def hidden(self, inputs: Array) -> list[Float[Array, "N width"]]:
        """Outputs of all layers but the last, one for each weight but the classifier's."""

    def logits(self, inputs: Array) -> Float[Array, "N K"]:
        """Of the classifier, the last weight (K, d), on the features, the last hidden output."""
        return self.hidden(inputs)[-1] @ self.weights[-1].T


class Perceptron(Network):
    """Fully connected layers with rounded ReLUs; weights (out, in)."""

    weights: tuple[Float[Array, "out in"], ...]

    def hidden(self, inputs: Array) -> list[Array]:
        """Outputs of the hidden layers."""
        outputs, x = [], inputs.reshape(len(inputs), -1)
        for weight in self.weights[:-1]:
            x = rounded_relu(x @ weight.T)
            outputs.append(x)
        return outputs


class Convolutional(Network):
    """Convolutions of 3 x 3 and stride 2 with rounded ReLUs, and a classifier on all that they give."""

    weights: tuple[Array, ...]

    def hidden(self, inputs: Array) -> list[Array]:
        """Outputs of the convolutions, flattened."""
        outputs, x = [], inputs
        for kernel in self.weights[:-1]:
            x = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = rounded_relu(x)
            outputs.append(x.reshape(len(x), -1))
        return outputs


class Peeled(Network):
    """Free features, one row for each sample (the inputs are their numbers), and linear layers above them."""

    weights: tuple[Float[Array, "out in"], ...]

    def hidden(self, inputs: Array) -> list[Array]:
        """The features, and what the linear layers make of them."""
        outputs = [self.weights[0][inputs]]
        for weight in self.weights[1:-1]:
            outputs.append(outputs[-1] @ weight.T)
        return outputs


def rounded_relu(x: Array) -> Array:
    """0 below 0, ``x²/(2c)`` up to the corner c, ``x - c/2`` beyond: with a Lipschitz gradient."""
    bent = jnp.clip(x, 0, _CORNER)
    return bent * (x - bent / 2) / _CORNER


def perceptron(key: Array, shape: tuple[int, ...], K: int, depth: int, width: int) -> Perceptron:
    """``depth`` weight matrices at random (He et al. 2015), for images of ``shape``."""
    sizes = [_product(shape), *[width] * (depth - 1), K]
    keys = jax.random.split(key, depth)
    return Perceptron(tuple(_he(k, (o, i), i) for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True)))


def convolutional(key: Array, shape: tuple[int, ...], K: int, depth: int, width: int) -> Convolutional:
    """``depth - 1`` convolutions of ``width`` channels and a classifier, at random."""
    *keys, last = jax.random.split(key, depth)
    height, breadth, channels = shape
    kernels = []
    for k in keys:
        kernels.append(_he(k, (3, 3, channels, width), 9 * channels))
        height, breadth, channels = -(-height // 2), -(-breadth // 2), width
    fan = height * breadth * channels
    return Convolutional((*kernels, _he(last, (K, fan), fan)))


def peeled(key: Array, samples: int, K: int, factors: int, width: int, size: float) -> Peeled:
    """Features of ``samples`` samples and ``factors - 1`` matrices of inner width ``width``, at random."""
    shapes = [(samples, width), *[(width, width)] * (factors - 2), (K, width)]
    keys = jax.random.split(key, factors)
    return Peeled(tuple(size * jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)))


def _he(key: Array, shape: tuple[int, ...], fan: int) -> Array:
    return jnp.sqrt(jnp.float32(2 / fan)) * jax.random.normal(key, shape, jnp.float32)


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
