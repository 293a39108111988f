"""A decoder that generates: rows of keys and values grow token by token, several in one pass over the weights.

The same network as `Qwen3` in `qwen3.py`, laid out for speed on few cores. Weights are one table per layer and stand as
[out, in], as in the files: a pass reads each once, whatever the number of rows, and nothing is copied out of a stack.
One layer is one compiled program, called once per layer: it compiles in half a second where all layers together take
several, and the calls cost less than the copies that a scan over stacked weights makes. A program belongs to a number
of rows, of new tokens of each, and of places in a row.

Axis letters as in `qwen3.py`: S new tokens of a row, C places of a row, X = B S, O outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.models.norm_and_rotation import rms_norm, rotate, rotation
from lts_jax.models.qwen3_attention import HIDDEN, matmul_precision
from lts_jax.models.qwen3_settings import Qwen3Settings
from lts_jax.models.weights import check_tensors, layer_tensor
from lts_jax.models.weights_files import checkpoint_files, open_tensors

_FUSED = {"qkv": ("q", "k", "v"), "gate_up": ("gate", "up")}  # of one input, hence one product
_PADDED = {3: 4, 5: 8, 6: 8, 7: 8}  # rows of a product
_Row = tuple[Array, Array]  # of one layer: keys and values [N, C, F]


@dataclass(frozen=True)
class DecoderWeights:
    """Weights of a decoder, layer by layer."""

    embedding: Array  # [V, W]
    unembedding: Array  # [V, W], the embedding itself where they are tied
    final_norm: Array  # [W]
    layers: tuple[Mapping[str, Array], ...]  # of each layer: tables [O, in], norms, biases [O]


@dataclass
class Row:
    """A sequence under way: the keys and values of its first tokens, in every layer, and room for more."""

    layers: list[_Row]
    tokens: list[int] = field(default_factory=list)  # whose keys and values stand at the beginning
    reserved: int = 0  # places that it is to have before its reply ends

    @property
    def capacity(self) -> int:
        """C."""
        return int(self.layers[0][0].shape[1])


def load_decoder(folder: Path | str, settings: Qwen3Settings) -> DecoderWeights:
    """The weights of a folder, read tensor by tensor. Raises what `load_weights` raises."""
    folder, dtype = Path(folder), jnp.dtype(settings.compute_dtype)
    with open_tensors(checkpoint_files(folder)) as tensors:
        prefix = check_tensors(folder, settings, tensors)

        def take(name: str) -> Array:
            return jnp.asarray(tensors[name].file.get_tensor(name), dtype)

        def layer(number: int) -> Mapping[str, Array]:
            return _fused(settings, lambda name: take(f"{prefix}layers.{number}.{layer_tensor(name)}"))

        embedding = take(f"{prefix}embed_tokens.weight")
        return DecoderWeights(
            embedding,
            embedding if settings.tied_embeddings else take("lm_head.weight"),
            take(f"{prefix}norm.weight"),
            tuple(layer(number) for number in range(settings.num_layers)),
        )


def empty_row(settings: Qwen3Settings, capacity: int) -> Row:
    """A row of `capacity` places that holds nothing."""
    shape, dtype = (settings.num_kv_heads, capacity, settings.head_width), jnp.dtype(settings.compute_dtype)
    return Row([(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(settings.num_layers)])


def copy_row(row: Row, num_tokens: int, capacity: int) -> Row:
    """A row of `capacity` places with the first `num_tokens` of another; the other one is left as it is."""
    layers = [(_resized(key, capacity), _resized(value, capacity)) for key, value in row.layers]
    return Row(layers, row.tokens[:num_tokens])


def extend_rows(
    settings: Qwen3Settings, weights: DecoderWeights, rows: Sequence[Row], new: Sequence[Sequence[int]], width: int
) -> np.ndarray:
    """Append tokens to rows of one capacity, and give the logits f32[B, V] after the last new token of each.

    Args:
        settings: shape of the model.
        weights: of `load_decoder`.
        rows: B of them; each has room for `width` more tokens.
        new: tokens of each, from 1 to `width`.
        width: S. Shorter ones are padded; what is written behind them is never seen and is overwritten later.
    """
    token_bs = np.zeros((len(rows), width), np.int32)
    for place, tokens in enumerate(new):
        token_bs[place, : len(tokens)] = tokens
    start_b = np.array([len(row.tokens) for row in rows], np.int32)
    state_xw = _embed(weights.embedding, token_bs)
    for number, layer in enumerate(weights.layers):
        state_xw, made = _extend_layer(settings, layer, state_xw, tuple(row.layers[number] for row in rows), start_b)
        for row, one in zip(rows, made, strict=True):
            row.layers[number] = one
    for row, tokens in zip(rows, new, strict=True):
        row.tokens.extend(tokens)
    last_b = np.array([len(tokens) - 1 for tokens in new], np.int32)
    return np.asarray(_logits(settings, weights.final_norm, weights.unembedding, state_xw, last_b))


def _fused(settings: Qwen3Settings, take: Callable[[str], Array]) -> Mapping[str, Array]:
    """One layer's tables, those of one input under each other."""
    layer = {name: take(name) for name in ("attention_norm", "mlp_norm", "o", "down")}
    if settings.query_key_norm:
        layer |= {name: take(name) for name in ("query_norm", "key_norm")}
    layer |= {name: jnp.concatenate([take(part) for part in parts]) for name, parts in _FUSED.items()}
    if settings.attention_bias:
        layer["qkv_bias"] = jnp.concatenate([take(f"{part}_bias") for part in _FUSED["qkv"]])
        layer["o_bias"] = take("o_bias")
    return layer


@partial(jax.jit, static_argnames="capacity")
def _resized(heads: Array, capacity: int) -> Array:
    """[N, C, F] with other C: cut, or zeros behind. A copy in any case."""
    kept = heads[:, :capacity]
    return jnp.pad(kept, ((0, 0), (0, capacity - kept.shape[1]), (0, 0)))


@jax.jit
def _embed(embedding: Array, token_bs: Array) -> Array:
    return embedding[token_bs.reshape(-1)]  # [X, W]


@partial(jax.jit, static_argnames="settings")
def _logits(settings: Qwen3Settings, scale: Array, table: Array, state_xw: Array, last_b: Array) -> Array:
    state_bw = state_xw.reshape(last_b.shape[0], -1, settings.width)[jnp.arange(last_b.shape[0]), last_b]
    return _dense(table, rms_norm(state_bw, scale, settings))  # f32[B, V]


def _dense(table: Array, input_xi: Array) -> Array:
    """f32[X, O] of a table [O, in]. With the table first, a product with few rows reads it once, from end to end.

    Measured on CPUs: a product with three or with five to seven rows takes longer than one with four or eight, and one
    whose transposition the compiler moves into the product half as long again.
    """
    num_inputs = input_xi.shape[0]
    padded = _PADDED.get(num_inputs, num_inputs)
    output_ox = jax.lax.dot_general(
        table,
        jnp.pad(input_xi, ((0, padded - num_inputs), (0, 0))),
        (((1,), (1,)), ((), ())),
        precision=matmul_precision(table.dtype),
        preferred_element_type=jnp.float32,
    )
    if num_inputs <= 8:
        output_ox = jax.lax.optimization_barrier(output_ox)
    return output_ox[:, :num_inputs].T


@partial(jax.jit, static_argnames="settings", donate_argnames="rows")
def _extend_layer(
    settings: Qwen3Settings, layer: Mapping[str, Array], state_xw: Array, rows: tuple[_Row, ...], start_b: Array
) -> tuple[Array, tuple[_Row, ...]]:
    """One layer over the new tokens of all rows, and the rows with their keys and values written into them."""
    dtype, num_rows = state_xw.dtype, len(rows)
    num_kv, width = settings.num_kv_heads, settings.head_width
    position_bs = start_b[:, None] + jnp.arange(state_xw.shape[0] // num_rows)

    def dense(name: str, input_xi: Array) -> Array:
        output_xo = _dense(layer[name], input_xi)
        return (output_xo + layer[f"{name}_bias"] if f"{name}_bias" in layer else output_xo).astype(dtype)

    qkv_xo = dense("qkv", rms_norm(state_xw, layer["attention_norm"], settings))
    heads = qkv_xo.reshape(*position_bs.shape, -1, width)  # [B, S, N R + 2 N, F]
    q, k, v = jnp.split(heads, [settings.num_heads, settings.num_heads + num_kv], axis=2)
    if settings.query_key_norm:
        q, k = rms_norm(q, layer["query_norm"], settings), rms_norm(k, layer["key_norm"], settings)
    angles = rotation(position_bs, settings)
    q, k = rotate(q, *angles), rotate(k, *angles)
    written = tuple(
        (_write(key, k[place], start_b[place]), _write(value, v[place], start_b[place]))
        for place, (key, value) in enumerate(rows)
    )
    seen = [_attend(q[place], *written[place], position_bs[place]) for place in range(num_rows)]  # [S, N R F] each
    state_xw = state_xw + dense("o", jnp.concatenate(seen))
    gate_xm, up_xm = jnp.split(dense("gate_up", rms_norm(state_xw, layer["mlp_norm"], settings)), 2, axis=-1)
    return state_xw + dense("down", jax.nn.silu(gate_xm) * up_xm), written


def _write(held: Array, new_snf: Array, start: Array) -> Array:
    """[N, C, F] with new tokens [S, N, F] at their places."""
    return jax.lax.dynamic_update_slice(held, new_snf.swapaxes(0, 1), (0, start, 0))


def _attend(q: Array, key: Array, value: Array, position_s: Array) -> Array:
    """[S, N R F]: each of S new tokens [S, N R, F] over the places of its row up to its own."""
    num_new, num_heads, width = q.shape
    num_kv, num_places, _ = key.shape
    precision = matmul_precision(q.dtype)
    query = q.reshape(num_new, num_kv, -1, width).transpose(1, 2, 0, 3)  # [N, R, S, F]
    logit = jnp.einsum("nrsf,ncf->nrsc", query, key, precision=precision, preferred_element_type=jnp.float32)
    is_seen_sc = jnp.arange(num_places) <= position_s[:, None]
    weight = jax.nn.softmax(jnp.where(is_seen_sc, logit * width**-0.5, HIDDEN), axis=-1).astype(q.dtype)
    out = jnp.einsum("nrsc,ncf->nrsf", weight, value, precision=precision, preferred_element_type=jnp.float32)
    return out.astype(q.dtype).transpose(2, 0, 1, 3).reshape(num_new, num_heads * width)
