"""A BERT encoder with mean pooling, as in the sentence-transformers model all-MiniLM-L6-v2 (6 layers of width 384).

Pure functions of a plain parameter pytree; the body is Flax NNX, merged inside the compiled function. Post-norm layers,
learnt positions, exact GELU: Devlin et al., arXiv 1810.04805. Axis letters: B texts, L tokens, D width, H heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from lts_jax.errors import UserError

Params = Any  # a pytree of arrays


@dataclass(frozen=True, slots=True)
class MiniLMSettings:
    """Shape of the encoder, under the names of a BERT `config.json`; the defaults are all-MiniLM-L6-v2's."""

    vocab_size: int = 30522
    hidden_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        """Refuse widths that the heads do not divide."""
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size: expected a multiple of num_attention_heads = {self.num_attention_heads}, "
                f"got {self.hidden_size}"
            )


@partial(jax.jit, static_argnums=0)
def embed_tokens(settings: MiniLMSettings, params: Params, token_bl: Array, token_mask_bl: Array) -> Array:
    """Sentence vectors: token states averaged over the real tokens, scaled to unit L2 norm.

    Args:
        settings: shape of the encoder.
        params: as made by `params_from_tensors`.
        token_bl: i32[B, L] token ids, padded with anything.
        token_mask_bl: bool[B, L], true for a real token.

    Returns:
        f32[B, D]; zero for a row without tokens.
    """
    state_bld = nnx.merge(_graph_definition(settings), params)(token_bl, token_mask_bl)
    weight_bl = token_mask_bl.astype(jnp.float32)
    mean_bd = jnp.einsum("bld,bl->bd", state_bld, weight_bl) / jnp.maximum(weight_bl.sum(1, keepdims=True), 1.0)
    return mean_bd / jnp.maximum(jnp.linalg.norm(mean_bd, axis=1, keepdims=True), 1e-12)


def params_from_tensors(settings: MiniLMSettings, tensors: Mapping[str, np.ndarray]) -> Params:
    """The parameters from a checkpoint's tensors, by their BERT names (with or without a leading "bert.").

    Raises:
        UserError: a tensor is missing or has another shape than the settings ask for.
    """
    width = settings.hidden_size

    def take(name: str, *shape: int) -> np.ndarray:
        tensor = tensors.get(name, tensors.get(f"bert.{name}"))
        if tensor is None:
            raise UserError(f"the weights have no tensor {name}")
        if tensor.shape != shape:
            raise UserError(f"tensor {name}: expected shape {list(shape)}, got {list(tensor.shape)}")
        return np.asarray(tensor, np.float32)

    def linear(name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
        return {"kernel": take(f"{name}.weight", outputs, inputs).T, "bias": take(f"{name}.bias", outputs)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {"scale": take(f"{name}.weight", width), "bias": take(f"{name}.bias", width)}

    def table(name: str, rows: int) -> dict[str, np.ndarray]:
        return {"embedding": take(f"embeddings.{name}_embeddings.weight", rows, width)}

    def layer(name: str) -> dict[str, dict[str, np.ndarray]]:
        return {
            "query": linear(f"{name}.attention.self.query", width, width),
            "key": linear(f"{name}.attention.self.key", width, width),
            "value": linear(f"{name}.attention.self.value", width, width),
            "attention_out": linear(f"{name}.attention.output.dense", width, width),
            "attention_norm": norm(f"{name}.attention.output.LayerNorm"),
            "mlp_in": linear(f"{name}.intermediate.dense", width, settings.intermediate_size),
            "mlp_out": linear(f"{name}.output.dense", settings.intermediate_size, width),
            "mlp_norm": norm(f"{name}.output.LayerNorm"),
        }

    params = {
        "word": table("word", settings.vocab_size),
        "position": table("position", settings.max_position_embeddings),
        "kind": table("token_type", settings.type_vocab_size),
        "norm": norm("embeddings.LayerNorm"),
        "layers": {number: layer(f"encoder.layer.{number}") for number in range(settings.num_hidden_layers)},
    }
    return jax.tree.map(jnp.asarray, params)


class _Layer(nnx.Module):
    """Attention and MLP, each followed by the sum with its input and a layer norm."""

    def __init__(self, settings: MiniLMSettings, rngs: nnx.Rngs) -> None:
        width, hidden = settings.hidden_size, settings.intermediate_size
        dense = partial(nnx.Linear, precision=jax.lax.Precision.HIGHEST, rngs=rngs)
        layer_norm = partial(nnx.LayerNorm, epsilon=settings.layer_norm_eps, use_fast_variance=False, rngs=rngs)
        self.num_heads = settings.num_attention_heads
        self.query, self.key, self.value = (dense(width, width) for _ in range(3))
        self.attention_out = dense(width, width)
        self.attention_norm = layer_norm(width)
        self.mlp_in, self.mlp_out = dense(width, hidden), dense(hidden, width)
        self.mlp_norm = layer_norm(width)

    def __call__(self, state_bld: Array, token_mask_bl: Array) -> Array:
        per_head = (*state_bld.shape[:2], self.num_heads, -1)
        attended = jax.nn.dot_product_attention(
            self.query(state_bld).reshape(per_head),
            self.key(state_bld).reshape(per_head),
            self.value(state_bld).reshape(per_head),
            mask=token_mask_bl[:, None, None, :],
        )
        state_bld = self.attention_norm(state_bld + self.attention_out(attended.reshape(state_bld.shape)))
        hidden = jax.nn.gelu(self.mlp_in(state_bld), approximate=False)
        return self.mlp_norm(state_bld + self.mlp_out(hidden))


class _Encoder(nnx.Module):
    def __init__(self, settings: MiniLMSettings, rngs: nnx.Rngs) -> None:
        width = settings.hidden_size
        self.word = nnx.Embed(settings.vocab_size, width, rngs=rngs)
        self.position = nnx.Embed(settings.max_position_embeddings, width, rngs=rngs)
        self.kind = nnx.Embed(settings.type_vocab_size, width, rngs=rngs)
        self.norm = nnx.LayerNorm(width, epsilon=settings.layer_norm_eps, use_fast_variance=False, rngs=rngs)
        self.layers = nnx.List([_Layer(settings, rngs) for _ in range(settings.num_hidden_layers)])

    def __call__(self, token_bl: Array, token_mask_bl: Array) -> Array:
        position_l = jnp.arange(token_bl.shape[1])
        one_kind = self.kind(jnp.zeros((), jnp.int32))  # a single text: every token is of kind 0
        state_bld = self.norm(self.word(token_bl) + self.position(position_l) + one_kind)
        for layer in self.layers:
            state_bld = layer(state_bld, token_mask_bl)
        return state_bld


@lru_cache(maxsize=16)
def _graph_definition(settings: MiniLMSettings) -> Any:
    return nnx.split(nnx.eval_shape(lambda: _Encoder(settings, nnx.Rngs(0))))[0]
