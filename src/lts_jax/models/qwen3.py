"""Qwen3, the dense decoder of arXiv 2505.09388, on embeddings, with explicit positions and explicit visibility.

Pre-norm blocks of grouped-query attention (RMS norm on every query and key head, rotary positions, no biases) and a
SwiGLU MLP. Settings without that norm make it a Llama (arXiv 2302.13971). The layers are stacked on a leading axis and
run by one scan: time to compile does not grow with depth. Who sees whom is an argument: left or right padding, several
sequences packed into one, and a cache are the same code.

Axis letters of this file, other than the house's: B sequences, S new tokens, C cached tokens, T tokens that can be seen
(cached, then new), L layers, W width, N key/value heads, R query heads of each, F head width, Q = N R F, M MLP width,
V vocabulary, X = B S.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from lts_jax.models.lora import TARGETS, Tuning, Weights, low_rank, target_widths
from lts_jax.models.norm_and_rotation import rms_norm, rotate, rotation
from lts_jax.models.qwen3_attention import attend, attend_cached, matmul_precision, visibility_bias
from lts_jax.models.qwen3_settings import Qwen3Settings, settings_from_json

__all__ = [
    "KeyValues",
    "Qwen3",
    "Qwen3Settings",
    "abstract_weights",
    "init_weights",
    "settings_from_json",
    "with_weights",
]


HEAD_NORMS = ("query_norm", "key_norm")
BIASED = ("q", "k", "v", "o")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class KeyValues:
    """Attention keys (normed and rotated to their positions) and values of tokens, in every layer."""

    key: Array  # [L, B, C, N, F]
    value: Array  # [L, B, C, N, F]


class Qwen3(nnx.Module):
    """The network: random by `Qwen3(settings, nnx.Rngs(0))`, with given values by `with_weights(settings, weights)`."""

    def __init__(self, settings: Qwen3Settings, rngs: nnx.Rngs) -> None:
        self.settings = settings
        dtype = jnp.dtype(settings.compute_dtype)

        def normal(*shape: int) -> nnx.Param:
            return nnx.Param(jax.random.normal(rngs.params(), shape, dtype) * 0.02)

        def ones(*shape: int) -> nnx.Param:
            return nnx.Param(jnp.ones(shape, dtype))

        def zeros(*shape: int) -> nnx.Param:
            return nnx.Param(jnp.zeros(shape, dtype))

        num_layers, width, widths = settings.num_layers, settings.width, target_widths(settings)
        self.embedding = normal(settings.vocabulary_size, width)  # [V, W]
        self.layers = nnx.Dict(
            attention_norm=ones(num_layers, width),  # [L, W]
            mlp_norm=ones(num_layers, width),  # [L, W]
            **{name: normal(num_layers, *shape) for name, shape in widths.items()},  # [L, in, out]
        )
        if settings.query_key_norm:
            self.layers.update({name: ones(num_layers, settings.head_width) for name in HEAD_NORMS})  # [L, F]
        if settings.attention_bias:
            biases = {f"{name}_bias": zeros(num_layers, widths[name][1]) for name in BIASED}  # [L, out]
            self.layers.update(biases)
        self.final_norm = ones(width)  # [W]
        if not settings.tied_embeddings:
            self.unembedding = normal(settings.vocabulary_size, width)  # [V, W]

    def embed(self, token_bs: Array) -> Array:
        """Embeddings [B, S, W] of token ids i32[B, S]."""
        return self.embedding[...][token_bs]

    def __call__(
        self,
        embeds_bsw: Array,
        position_bs: Array,
        visible_bst: Array,
        *,
        tuning: Tuning | None = None,
        cache: KeyValues | None = None,
    ) -> Array:
        """States after the final norm, [B, S, W] in the compute type. The arguments are those of `extend`."""
        state_bsw, _ = self._run(embeds_bsw, position_bs, visible_bst, tuning, cache, lambda state, key_values: None)
        return rms_norm(state_bsw, self.final_norm[...], self.settings)

    def extend(
        self,
        embeds_bsw: Array,
        position_bs: Array,
        visible_bst: Array,
        *,
        tuning: Tuning | None = None,
        cache: KeyValues | None = None,
    ) -> tuple[Array, KeyValues]:
        """States after the final norm, and the new tokens' own keys and values, for the caller to write where it wants.

        Args:
            embeds_bsw: [B, S, W], from `embed` or from anywhere else.
            position_bs: i32[B, S], position of each new token.
            visible_bst: bool[B, S, T], whether new token s sees token t; T = C cached tokens, then the S new ones. A
                token that sees nothing gets finite values that mean nothing.
            tuning: LoRA matrices and their settings; None runs the base alone.
            cache: keys and values of C earlier tokens.

        Returns:
            [B, S, W] in the compute type, and `KeyValues` of [L, B, S, N, F].
        """
        state_bsw, own = self._run(embeds_bsw, position_bs, visible_bst, tuning, cache, lambda state, own: own)
        return rms_norm(state_bsw, self.final_norm[...], self.settings), own

    def block_states(self, embeds_bsw: Array, position_bs: Array, visible_bst: Array) -> Array:
        """Output of every block of the base, [L, B, S, W]; for comparing with other implementations."""
        return self._run(embeds_bsw, position_bs, visible_bst, None, None, lambda state, key_values: state)[1]

    def logits(self, hidden: Array, rows: Array | None = None) -> Array:
        """Logits f32[..., V] of states [..., W] after the final norm, or of the tokens `rows` i32[A]."""
        table_vw = self.embedding[...] if self.settings.tied_embeddings else self.unembedding[...]
        table_vw = table_vw if rows is None else table_vw[rows]
        flat_xw = hidden.reshape(-1, hidden.shape[-1])
        logit_xv = jax.lax.dot_general(
            flat_xw,
            table_vw,
            (((1,), (1,)), ((), ())),
            precision=matmul_precision(hidden.dtype),
            preferred_element_type=jnp.float32,
        )
        return logit_xv.reshape(*hidden.shape[:-1], -1)

    def _run(
        self,
        embeds_bsw: Array,
        position_bs: Array,
        visible_bst: Array,
        tuning: Tuning | None,
        cache: KeyValues | None,
        kept: Callable[[Array, KeyValues], Any],
    ) -> tuple[Array, Any]:
        """State after the last block, and of every block what `kept` makes of its state and its keys and values."""
        settings = self.settings
        state_bsw = embeds_bsw.astype(settings.compute_dtype)
        tokens = _Tokens(*rotation(position_bs, settings), visibility_bias(visible_bst))
        if tuning is not None and tuning.prng_key is not None:
            tuning = replace(tuning, prng_key=jax.random.split(tuning.prng_key, settings.num_layers))

        def body(state_bsw: Array, per_layer: Any) -> tuple[Array, Any]:
            weights, layer_tuning, layer_cache = per_layer
            state_bsw, key_values = _block(settings, weights, layer_tuning, state_bsw, tokens, layer_cache)
            return state_bsw, kept(state_bsw, key_values)

        # The backward pass computes again at least what is no dense product: less to keep, and no slower on a CPU.
        policy = None if settings.remat else jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        body = jax.checkpoint(body, prevent_cse=False, policy=policy)
        weights = {name: param[...] for name, param in self.layers.items()}
        return jax.lax.scan(body, state_bsw, (weights, tuning, cache), unroll=settings.unroll)


def with_weights(settings: Qwen3Settings, weights: Weights) -> Qwen3:
    """The network with the weights of `init_weights` or a loader. Inside a compiled function it costs nothing."""
    return nnx.merge(_graph_definition(settings), weights)


@partial(jax.jit, static_argnums=0)
def init_weights(settings: Qwen3Settings, prng_key: Array) -> Weights:
    """Random weights as nested dicts: normal with deviation 0.02, norms one."""
    return nnx.to_pure_dict(nnx.state(Qwen3(settings, nnx.Rngs(prng_key))))


def abstract_weights(settings: Qwen3Settings) -> Weights:
    """Shapes and types of the weights, nothing allocated."""
    return nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: Qwen3(settings, nnx.Rngs(0)))))


class _Tokens(NamedTuple):
    """Where new tokens stand and what they see, the same in every layer."""

    cosine: Array  # f32[B, S, 1, F / 2]
    sine: Array
    bias: Array


def _block(
    settings: Qwen3Settings,
    weights: Mapping[str, Array],
    tuning: Tuning | None,
    state_bsw: Array,
    tokens: _Tokens,
    cache: KeyValues | None,
) -> tuple[Array, KeyValues]:
    """One layer, with its own weights, adapters and dropout key.

    Dense products are on [B S, in] tables: faster on a CPU than batched ones.
    """
    num_rows, num_new, width = state_bsw.shape
    num_kv_heads, head_width = settings.num_kv_heads, settings.head_width
    precision = matmul_precision(state_bsw.dtype)

    def dense(target: str, input_xi: Array) -> Array:
        output_xo = jnp.dot(input_xi, weights[target], precision=precision)  # [X, out]
        if settings.attention_bias and target in BIASED:
            output_xo = output_xo + weights[f"{target}_bias"]
        if tuning is None or target not in tuning.adapters:
            return output_xo
        own_key = None if tuning.prng_key is None else jax.random.fold_in(tuning.prng_key, TARGETS.index(target))
        return output_xo + low_rank(input_xi, tuning.adapters[target], tuning.lora, own_key)  # [X, out]

    normed_xw = rms_norm(state_bsw, weights["attention_norm"], settings).reshape(-1, width)  # [X, W]
    q = dense("q", normed_xw).reshape(num_rows, num_new, -1, head_width)  # [B, S, N R, F]
    k = dense("k", normed_xw).reshape(num_rows, num_new, num_kv_heads, head_width)  # [B, S, N, F]
    v = dense("v", normed_xw).reshape(num_rows, num_new, num_kv_heads, head_width)  # [B, S, N, F]
    if settings.query_key_norm:
        q = rms_norm(q, weights["query_norm"], settings)
        k = rms_norm(k, weights["key_norm"], settings)
    q, k = rotate(q, tokens.cosine, tokens.sine), rotate(k, tokens.cosine, tokens.sine)  # [B, S, N R, F], [B, S, N, F]
    bias = tokens.bias
    seen = attend(q, k, v, bias) if cache is None else attend_cached(q, k, v, cache.key, cache.value, bias)
    attended_xq = seen.reshape(num_rows * num_new, -1)  # [X, Q]
    state_bsw = state_bsw + dense("o", attended_xq).reshape(state_bsw.shape)  # [B, S, W]
    normed_xw = rms_norm(state_bsw, weights["mlp_norm"], settings).reshape(-1, width)  # [X, W]
    inner_xm = jax.nn.silu(dense("gate", normed_xw)) * dense("up", normed_xw)  # [X, M]
    return state_bsw + dense("down", inner_xm).reshape(state_bsw.shape), KeyValues(k, v)  # [B, S, W]


@lru_cache(maxsize=64)
def _graph_definition(settings: Qwen3Settings) -> nnx.GraphDef:
    """Structure without values; `nnx.merge` with weights happens only while tracing."""
    return nnx.graphdef(nnx.eval_shape(lambda: Qwen3(settings, nnx.Rngs(0))))
