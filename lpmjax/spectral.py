"""Spectral functions of the G x G block of the logits, differentiable at fixed rank.

``full`` says that the columns of the block need not be orthogonal to sqrt(classes), as with a loss that is not
shift-invariant. Leading axes are a batch; NumPy arrays stay on the host.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap


def block_norm(block):
    """Frobenius norm of a G x G block, without overflow; its derivative at zero is zero.

    A block whose columns are orthogonal to sqrt(classes) has rank at most G - 1, so for G <= 2 this is its spectral and
    its nuclear norm as well.
    """
    nx = block.__array_namespace__()
    largest = nx.max(nx.abs(block), axis=(-2, -1))
    zero = largest == 0
    scale = nx.where(zero, 1.0, largest)
    ratios = block / scale[..., None, None]
    squares = nx.sum(ratios * ratios, axis=(-2, -1))
    return nx.where(zero, 0.0, scale * nx.sqrt(nx.where(zero, 1.0, squares)))


def is_thin(block, full: bool) -> bool:
    """Whether a block has rank at most one by its shape alone; ``full``: the loss is not shift-invariant."""
    return block.shape[-1] <= (1 if full else 2)


def spectral_norm(block, full: bool = False):
    """Largest singular value of a G x G block (``full`` if its columns need not be orthogonal to sqrt(classes))."""
    nx = block.__array_namespace__()
    if is_thin(block, full):
        return block_norm(block)
    return nx.max(singular_values(block), axis=-1)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def svd(block, compute_uv: bool = True):
    """Thin ``jnp.linalg.svd``, of which a batch is decomposed one matrix after another on CPU.

    There jaxlib's batched kernel hands its work to the pool of threads that it runs on and waits: as soon as every
    thread of the pool waits so, in two batches at once, none ever ends.
    """
    batched = _batched_svd(compute_uv)
    return jax.lax.platform_dependent(block, cpu=sequential_vmap(batched), default=batched)


@svd.defjvp
def _svd_jvp(compute_uv, primals, tangents):
    return jax.jvp(_batched_svd(compute_uv), primals, tangents)


def _batched_svd(compute_uv: bool):
    return partial(jnp.linalg.svd, compute_uv=compute_uv, full_matrices=False)


def singular_values(block):
    """(..., G) singular values, largest first; NaN, not an exception, where the block is not finite."""
    nx = block.__array_namespace__()
    if block.shape[-1] == 1:
        return nx.abs(block[..., 0])
    bad = ~nx.all(nx.isfinite(block), axis=(-2, -1))[..., None]
    finite = nx.where(bad[..., None], 0.0, block)
    values = svd(finite, False) if nx is jnp else nx.linalg.svd(finite, compute_uv=False)
    return nx.where(bad, nx.nan, values)


def singular_vectors(block):
    """U, singular values (largest first) and Vᵀ of a square block; NaN, not an exception, where it is not finite."""
    nx = block.__array_namespace__()
    bad = ~nx.all(nx.isfinite(block), axis=(-2, -1), keepdims=True)
    u, s, vt = (svd if nx is jnp else nx.linalg.svd)(nx.where(bad, 0.0, block))
    return u, nx.where(bad[..., 0], nx.nan, s), vt


def singular_vectors_of_product(left, right):
    """U (G, r), singular values (r,) and Vᵀ of ``left @ right`` with r columns and rows, fewer than G: all that is
    decomposed is r wide. On traced arrays."""
    return jax.lax.platform_dependent(left, right, cpu=sequential_vmap(_of_product), default=_of_product)


def _of_product(left, right):
    (q, upper), (p, lower) = jnp.linalg.qr(left), jnp.linalg.qr(right.T)
    u, values, vt = singular_vectors(upper @ lower.T)
    return q @ u, values, vt @ p.T


def nuclear_norm(block, full: bool = False):
    """Sum of the singular values; differentiable at fixed rank."""
    nx = block.__array_namespace__()
    if is_thin(block, full):
        return block_norm(block)
    return _nuclear(block) if nx is jnp else nx.sum(singular_values(block), axis=-1)


def roots(block, full):
    """(X Xᵀ)^(1/2) and (Xᵀ X)^(1/2) of a block X."""
    nx = block.__array_namespace__()
    if not is_thin(block, full):
        return _absolutes(block) if nx is jnp else _absolutes_by_svd(block)[:2]
    norm = block_norm(block)[..., None, None]
    unit = block / nx.where(norm > 0, norm, 1.0)
    left = norm * nx.sum(unit[..., :, None, :] * unit[..., None, :, :], axis=-1)
    return left, norm * nx.sum(unit[..., :, :, None] * unit[..., :, None, :], axis=-3)


def polar(block, full: bool = False):
    """The partial isometry U Vᵀ over the singular values that are not rounding: the gradient of the nuclear norm."""
    nx = block.__array_namespace__()
    if is_thin(block, full):
        norm = block_norm(block)[..., None, None]
        return block / nx.where(norm > 0, norm, 1.0)
    if nx is jnp:
        return _polar(block)
    u, s, vt = singular_vectors(block)
    return nx.matmul(nx.where(_active(s)[..., None, :], u, 0.0), vt)


def kept(values):
    """Singular values, largest first, with zeros in the place of those that are rounding."""
    nx = values.__array_namespace__()
    return nx.where(_active(values), values, 0.0)


def power(block, exponent: float):
    """``U S^exponent Vᵀ`` over the singular values that are not rounding; differentiable at fixed rank."""
    nx = block.__array_namespace__()
    values = kept(singular_values(block))
    safe = nx.where(values > 0, values, 1.0)
    new = nx.where(values > 0, safe**exponent, 0.0)
    return recombined(block, new, exponent * new / safe)


def power_sum(block, exponent: float):
    """Sum of the singular values to this power, but for those that are rounding; differentiable at fixed rank."""
    nx = block.__array_namespace__()
    if nx is jnp:
        return _power_sum(block, exponent)
    values = kept(singular_values(block))
    return nx.sum(nx.where(values > 0, nx.where(values > 0, values, 1.0) ** exponent, 0.0), axis=-1)


def recombined(block, new, slope):
    """``U diag(new) Vᵀ`` with the singular vectors of a square block, whose singular values ``new`` is a function of,
    with this ``slope``; differentiable also where some of them coincide."""
    if block.__array_namespace__() is jnp:
        return _recombined(block, new, slope)
    return _with_values(block, new)


# Derivatives at fixed rank. In the singular bases their formulas divide by sums of singular
# values only, never by differences, so coinciding singular values (every simplex ETF has them) are harmless.


def _absolutes_by_svd(block):
    nx = block.__array_namespace__()
    u, s, vt = singular_vectors(block)
    left = nx.matmul(u * s[..., None, :], nx.swapaxes(u, -1, -2))
    return left, nx.matmul(nx.swapaxes(vt, -1, -2) * s[..., None, :], vt), u, s, vt


def _in_bases(u, tangent, vt):
    return jnp.matmul(jnp.swapaxes(u, -1, -2), jnp.matmul(tangent, jnp.swapaxes(vt, -1, -2)))


def _active(s):
    """Singular values that are not rounding."""
    return s > 1e3 * s.__array_namespace__().finfo(s.dtype).eps * s[..., :1]


@jax.custom_jvp
def _absolutes(block):
    return _absolutes_by_svd(block)[:2]


@_absolutes.defjvp
def _absolutes_jvp(primals, tangents):
    left, right, u, s, vt = _absolutes_by_svd(primals[0])
    inner = _in_bases(u, tangents[0], vt)
    active = _active(s)
    either = active[..., :, None] | active[..., None, :]
    sums = jnp.where(either, s[..., :, None] + s[..., None, :], 1.0)
    turned = jnp.swapaxes(inner, -1, -2)
    of_left = jnp.where(either, (inner * s[..., None, :] + turned * s[..., :, None]) / sums, 0.0)
    of_right = jnp.where(either, (turned * s[..., None, :] + inner * s[..., :, None]) / sums, 0.0)
    d_left = jnp.matmul(u, jnp.matmul(of_left, jnp.swapaxes(u, -1, -2)))
    return (left, right), (d_left, jnp.matmul(jnp.swapaxes(vt, -1, -2), jnp.matmul(of_right, vt)))


@jax.custom_jvp
def _nuclear(block):
    return jnp.sum(singular_values(block), axis=-1)


@_nuclear.defjvp
def _nuclear_jvp(primals, tangents):
    return _nuclear(primals[0]), jnp.sum(_polar(primals[0]) * tangents[0], axis=(-2, -1))


@jax.custom_jvp
def _polar(block):
    u, s, vt = singular_vectors(block)
    return jnp.matmul(jnp.where(_active(s)[..., None, :], u, 0.0), vt)


@_polar.defjvp
def _polar_jvp(primals, tangents):
    u, s, vt = singular_vectors(primals[0])
    inner, active = _in_bases(u, tangents[0], vt), _active(s)
    both = active[..., :, None] & active[..., None, :]
    sums = jnp.where(both, s[..., :, None] + s[..., None, :], 1.0)
    turned = jnp.where(both, (inner - jnp.swapaxes(inner, -1, -2)) / sums, 0.0)
    rows = jnp.where(active[..., :, None] & ~active[..., None, :], inner / jnp.where(active, s, 1.0)[..., :, None], 0.0)
    columns = jnp.where(
        ~active[..., :, None] & active[..., None, :], inner / jnp.where(active, s, 1.0)[..., None, :], 0.0
    )
    tangent = jnp.matmul(u, jnp.matmul(turned + rows + columns, vt))
    return _polar(primals[0]), tangent


def _with_values(block, new):
    nx = block.__array_namespace__()
    u, _, vt = singular_vectors(block)
    return nx.matmul(u * new[..., None, :], vt)


@jax.custom_jvp
def _recombined(block, new, slope):
    return _with_values(block, new)


@_recombined.defjvp
def _recombined_jvp(primals, tangents):
    block, new, slope = primals
    u, s, vt = singular_vectors(block)
    inner = _in_bases(u, tangents[0], vt)
    turned, eye = jnp.swapaxes(inner, -1, -2), jnp.eye(s.shape[-1], dtype=bool)
    apart, sums = s[..., :, None] - s[..., None, :], s[..., :, None] + s[..., None, :]
    # Of singular values that coincide to rounding the divided difference is the slope.
    close = jnp.abs(apart) <= jnp.sqrt(jnp.finfo(s.dtype).eps) * sums
    differences = (new[..., :, None] - new[..., None, :]) / jnp.where(close, 1.0, apart)
    even = jnp.where(close, 0.5 * (slope[..., :, None] + slope[..., None, :]), differences)
    odd = jnp.where(sums > 0, (new[..., :, None] + new[..., None, :]) / jnp.where(sums > 0, sums, 1.0), 0.0)
    moved = 0.5 * (even * (inner + turned) + odd * (inner - turned))
    moved = jnp.where(eye, tangents[1][..., None, :], moved)  # its own derivative has that of the singular value
    return _recombined(block, new, slope), jnp.matmul(u, jnp.matmul(moved, vt))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _power_sum(block, exponent):
    values = kept(singular_values(block))
    return jnp.sum(jnp.where(values > 0, jnp.where(values > 0, values, 1.0) ** exponent, 0.0), axis=-1)


@_power_sum.defjvp
def _power_sum_jvp(exponent, primals, tangents):
    slopes = exponent * power(primals[0], exponent - 1)
    return _power_sum(primals[0], exponent), jnp.sum(slopes * tangents[0], axis=(-2, -1))
