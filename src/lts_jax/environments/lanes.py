"""Many rollouts at once with their axis last: a function of one rollout whose `jax.vmap` has this layout.

`jax.vmap` puts the new axis first: three teams of each rollout become [lanes, 3], and compiled loops run over threes.
With lanes last every operation is one long contiguous loop, which CPUs vectorise. Only the layout differs.

What it is worth on one core (2026-11-28, experiments/LOG.md): hundreds of rollouts at once are 1.2 (default sizes, the
default network) to 1.8 times (experiments/simulator_speed) as fast as without; 40 at once, a training run of default
size, are .9 times as fast, and compile in 18 s instead of 14.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from lts_jax.environments.once import any_at_all, once

Lane = tuple[Any, bool]  # a value, and whether its last axis is that of lanes

# Primitives whose operands and result have one shape, and those that keep the numbers of their axes.
_SAME_SHAPE = """
    abs add and atan2 bitcast_convert_type cbrt ceil clamp convert_element_type copy cos div eq erf erf_inv exp exp2
    expm1 floor ge gt integer_pow is_finite le log log1p logistic lt max min mul ne neg nextafter not or
    population_count pow rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sqrt
    square stop_gradient sub tan tanh xor"""
_SAME_AXES = """
    argmax argmin cummax cummin cumsum reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum rev squeeze"""
_FOLDED = {"reduce_sum": jnp.add, "reduce_max": jnp.maximum, "reduce_min": jnp.minimum}
_MOST_TERMS = 128  # of a folded reduction
_SMALL_TABLE = 2048  # numbers of a matrix whose product is written out
_INSIDE = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr"}


def lanes_last(function: Callable[..., Any], *, apart: int) -> Callable[..., Any]:
    """`function` of pytrees of arrays, such that `jax.vmap`, also of a `jax.vmap`, makes one axis of lanes of it.

    A while loop in it goes on until no lane's condition holds, so its body must leave a finished lane as it is.

    Args:
        function: of positional arguments.
        apart: number of the argument (a network's parameters) that is too large to be repeated for every lane: a
            `jax.vmap` over it puts its axis first, as usual.
    """
    return _Laned(function, apart, None).call


class _Laned:
    """A function with given leaves in lanes, and what becomes of it under one more `jax.vmap`."""

    def __init__(self, function: Callable[..., Any], apart: int, flags: tuple[bool, ...] | None) -> None:
        self.function, self.apart, self.flags = function, apart, flags
        self.plain = function if flags is None else over_lanes(function, flags)
        self.call = custom_vmap(self.plain)
        self.call.def_vmap(self._more)

    def _more(self, axis_size: int, in_batched: Any, *arguments: Any) -> tuple[Any, Any]:
        if any(jax.tree.leaves(in_batched[self.apart])):
            in_axes = jax.tree.map(lambda has: 0 if has else None, tuple(in_batched))
            result = jax.vmap(self.plain, in_axes=in_axes)(*arguments)
            return result, jax.tree.map(lambda _: True, result)
        leaves, structure = jax.tree.flatten(arguments)
        batched = jax.tree.leaves(in_batched)
        old = self.flags or (False,) * len(leaves)
        num_old = next((leaf.shape[-1] for leaf, has in zip(leaves, old, strict=True) if has), 1)
        flags = tuple(a or b for a, b in zip(old, batched, strict=True))
        new = [
            _join(leaf, axis_size, num_old, was, now) if was or now else leaf
            for leaf, was, now in zip(leaves, old, batched, strict=True)
        ]
        result = _Laned(self.function, self.apart, flags).call(*jax.tree.unflatten(structure, new))
        has_old = self.flags is not None

        def part(value: Array) -> Array:
            value = value.reshape(*value.shape[:-1], axis_size, *((num_old,) if has_old else ()))
            return jnp.moveaxis(value, -2 if has_old else -1, 0)

        return jax.tree.map(part, result), jax.tree.map(lambda _: True, result)


def _join(leaf: Array, axis_size: int, num_old: int, has_old: bool, has_new: bool) -> Array:
    """[new?, ..., old?] to [..., new * old]."""
    if has_new:
        leaf = jnp.moveaxis(leaf, 0, -2 if has_old else -1)
    inner = leaf.shape[: leaf.ndim - has_old - has_new]
    leaf = leaf.reshape(*inner, axis_size if has_new else 1, num_old if has_old else 1)
    return jnp.broadcast_to(leaf, (*inner, axis_size, num_old)).reshape(*inner, axis_size * num_old)


def over_lanes(function: Callable[..., Any], flags: Sequence[bool]) -> Callable[..., Any]:
    """`function` with a last axis of lanes on all its results and, one flag each, on some leaves of its arguments."""

    def of_lanes(*arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        single = [
            jax.ShapeDtypeStruct(jnp.shape(leaf)[: jnp.ndim(leaf) - has], jnp.result_type(leaf))
            for leaf, has in zip(leaves, flags, strict=True)
        ]
        closed, out = jax.make_jaxpr(function, return_shape=True)(*jax.tree.unflatten(structure, single))
        num_lanes = next(leaf.shape[-1] for leaf, has in zip(leaves, flags, strict=True) if has)
        results = _run(closed, list(zip(leaves, flags, strict=True)), num_lanes)
        return jax.tree.unflatten(jax.tree.structure(out), [_with_lanes(lane, num_lanes) for lane in results])

    return of_lanes


def _with_lanes(lane: Lane, num_lanes: int) -> Array:
    value, has = lane
    value = jnp.asarray(value)
    return value if has else lax.broadcast_in_dim(value, (*value.shape, num_lanes), tuple(range(value.ndim)))


def _run(inside: ClosedJaxpr | Jaxpr, arguments: Sequence[Lane], num_lanes: int) -> list[Lane]:
    jaxpr, consts = (inside.jaxpr, inside.consts) if isinstance(inside, ClosedJaxpr) else (inside, [])
    known: dict[Any, Lane] = dict(zip(jaxpr.constvars, [(const, False) for const in consts], strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))

    def look_up(atom: Any) -> Lane:
        return (atom.val, False) if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        results = _apply(equation, [look_up(atom) for atom in equation.invars], num_lanes)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [look_up(atom) for atom in jaxpr.outvars]


def _apply(equation: JaxprEqn, lanes: list[Lane], num_lanes: int) -> list[Lane]:
    primitive, name, params = equation.primitive, equation.primitive.name, equation.params
    if name in _INSIDE:
        return _run(params[_INSIDE[name]], lanes, num_lanes)
    if not any(has for _, has in lanes):
        results = primitive.bind(*[value for value, _ in lanes], **params)
        return [(result, False) for result in (results if primitive.multiple_results else [results])]
    if name == "while":
        return _while(lanes, num_lanes, **params)
    if name in _SAME_SHAPE.split():
        inner: Any = equation.outvars[0].aval
        shape = (*inner.shape, num_lanes)
        return [(primitive.bind(*[_fill(lane, shape) for lane in lanes], **params), True)]
    if name in _FOLDED and _can_fold(lanes[0][0], params["axes"]):
        return [(_fold(lanes[0][0], params["axes"], _FOLDED[name]), True)]
    if name in _SAME_AXES.split():
        return [(primitive.bind(lanes[0][0], **params), True)]
    if name in _RESHAPING:
        return [(_RESHAPING[name](lanes[0][0], num_lanes, **params), True)]
    if name == "dot_general" and _is_sum_of_products(lanes, params["dimension_numbers"]):
        return [(_dot(lanes, num_lanes, params), True)]
    if name == "concatenate":
        return [(lax.concatenate([_with_lanes(lane, num_lanes) for lane in lanes], params["dimension"]), True)]
    if name == "dynamic_update_slice" and not any(has for _, has in lanes[2:]):
        old, new = (_with_lanes(lane, num_lanes) for lane in lanes[:2])
        return [(lax.dynamic_update_slice(old, new, [value for value, _ in lanes[2:]] + [0]), True)]
    return _otherwise(equation, lanes)


def _otherwise(equation: JaxprEqn, lanes: list[Lane]) -> list[Lane]:
    """Any other primitive by jax's own rule: right for all, slower for some."""
    in_axes = [jnp.ndim(value) - 1 if has else None for value, has in lanes]
    many = equation.primitive.multiple_results

    def bind(*values: Array) -> list[Array]:
        results = equation.primitive.bind(*values, **equation.params)
        return list(results) if many else [results]

    return [(result, True) for result in jax.vmap(bind, in_axes=in_axes, out_axes=-1)(*[value for value, _ in lanes])]


def _can_fold(value: Array, axes: Sequence[int]) -> bool:
    """A short reduction of floats: compilers hand these to libraries that are made for long ones."""
    sizes = [value.shape[axis] for axis in axes]
    return value.dtype == jnp.float32 and min(sizes, default=0) > 0 and 2 < math.prod(sizes) <= _MOST_TERMS


def _is_sum_of_products(lanes: list[Lane], dimension_numbers: Any) -> bool:
    """A product of two arrays that keeps no axis of its laned operand, or of one of its two laned operands."""
    (left, right), _ = dimension_numbers
    free = [jnp.ndim(value) - has - len(axes) for (value, has), axes in zip(lanes, (left, right), strict=True)]
    no_batch = not dimension_numbers[1][0]
    if lanes[0][1] and lanes[1][1]:
        return no_batch and min(free) == 0
    return no_batch and free[0 if lanes[0][1] else 1] == 0


def _dot(lanes: list[Lane], num_lanes: int, params: Any) -> Array:
    (left, right), _ = params["dimension_numbers"]
    (one, has_one), (other, has_other) = lanes
    if not (has_one and has_other):  # a table times vectors: one matrix product for all lanes
        table, vector, contract = (other, one, (right, left)) if has_one else (one, other, (left, right))
        if table.ndim == 2 and vector.ndim == 2 and table.size <= _SMALL_TABLE:
            return _small_product(table if contract[0] == (1,) else table.T, vector)
        return lax.dot_general(table, vector, (contract, ((), ())), params["precision"])
    if one.ndim < other.ndim:
        (one, left), (other, right) = (other, right), (one, left)
    # Axes of the larger operand, with those that are summed in its own order; the smaller one has no others.
    order = [right[left.index(axis)] for axis in sorted(left)]
    spread = lax.broadcast_in_dim(
        lax.transpose(other, (*order, other.ndim - 1)), one.shape, (*sorted(left), one.ndim - 1)
    )
    return _fold(one * spread, sorted(left), jnp.add)


def _small_product(table: Array, vector: Array) -> Array:
    """[rows, lanes] from [rows, terms] and [terms, lanes], written out: a library call costs more than the product."""
    vector = once(vector)
    terms = [table[:, at, None] * vector[at] for at in range(table.shape[1])]
    return once(sum(terms[1:], start=terms[0]))


def _fold(value: Array, axes: Sequence[int], pair: Callable[[Array, Array], Array]) -> Array:
    """A reduction over some axes, written out in halves: a plain loop over lanes, with what goes into it."""
    for axis in sorted(axes, reverse=True):
        while (size := value.shape[axis]) > 1:
            half = size // 2
            one, other, odd = (lax.slice_in_dim(value, *span, axis=axis) for span in _halves(half, size))
            value = pair(one, other)
            value = jnp.concatenate([value, odd], axis=axis) if size % 2 else value
        value = lax.squeeze(value, [axis])
    return once(value)


def _halves(half: int, size: int) -> tuple[tuple[int, int], ...]:
    return (0, half), (half, 2 * half), (2 * half, size)


def _while(
    lanes: list[Lane], num_lanes: int, *, cond_jaxpr: Any, body_jaxpr: Any, cond_nconsts: int, body_nconsts: int
) -> list[Lane]:
    cond_consts, body_consts = lanes[:cond_nconsts], lanes[cond_nconsts : cond_nconsts + body_nconsts]
    start = lanes[cond_nconsts + body_nconsts :]
    flags = [has for _, has in start]

    def body(values: Any) -> tuple[list[Array], list[bool]]:
        results = _run(body_jaxpr, body_consts + list(zip(values, flags, strict=True)), num_lanes)
        now = [a or has for a, (_, has) in zip(flags, results, strict=True)]
        return [_with_lanes(lane, num_lanes) if has else lane[0] for lane, has in zip(results, now, strict=True)], now

    def flags_after(values: list[Array]) -> list[bool]:
        found: list[bool] = []
        jax.eval_shape(lambda values: found.extend(body(values)[1]), values)
        return found

    while True:  # what depends on lanes after a pass of the loop is in lanes from its start
        values = [_with_lanes(lane, num_lanes) if has else lane[0] for lane, has in zip(start, flags, strict=True)]
        after = flags_after(values)
        if after == flags:
            break
        flags = after

    def goes_on(values: Any) -> Array:
        return any_at_all(_run(cond_jaxpr, cond_consts + list(zip(values, flags, strict=True)), num_lanes)[0][0])

    return list(zip(lax.while_loop(goes_on, lambda values: body(values)[0], values), flags, strict=True))


def _fill(lane: Lane, shape: tuple[int, ...]) -> Array:
    """An operand of an elementwise operation in the full shape; a scalar may meet an array (a predicate, a bound)."""
    value, has = lane
    value = jnp.asarray(value)
    if value.shape == shape:
        return value
    axes = (len(shape) - 1,) if has and value.ndim == 1 else tuple(range(value.ndim))
    return lax.broadcast_in_dim(value, shape, axes)


def _broadcast(value: Array, num_lanes: int, *, shape: Any, broadcast_dimensions: Any, sharding: Any = None) -> Array:
    return lax.broadcast_in_dim(value, (*shape, num_lanes), (*broadcast_dimensions, len(shape)))


def _reshape(value: Array, num_lanes: int, *, new_sizes: Any, dimensions: Any = None, sharding: Any = None) -> Array:
    return lax.reshape(value, (*new_sizes, num_lanes))


def _slice(value: Array, num_lanes: int, *, start_indices: Any, limit_indices: Any, strides: Any) -> Array:
    strides = None if strides is None else (*strides, 1)
    return lax.slice(value, (*start_indices, 0), (*limit_indices, num_lanes), strides)


def _transpose(value: Array, num_lanes: int, *, permutation: Any) -> Array:
    return lax.transpose(value, (*permutation, len(permutation)))


_RESHAPING: dict[str, Any] = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "slice": _slice,
    "transpose": _transpose,
}
