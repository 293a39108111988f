"""Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685) on the matrices of a stacked transformer.

An adapted matrix computes x W + (alpha / rank) (x A) B. The adapters are a pytree of their own,
`{target: {"a": f32[layers, in, rank], "b": f32[layers, rank, out]}}`; the base weights W are another. What is trained
is what the gradient is taken of, so a frozen base needs no filter: it is not an argument of the differentiation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.qwen3_attention import matmul_precision
from lts_jax.models.qwen3_settings import Qwen3Settings

TARGETS = ("q", "k", "v", "o", "gate", "up", "down")

Adapters = Mapping[str, Mapping[str, Array]]
"""Per target, `a` f32[layers, in, rank] and `b` f32[layers, rank, out]."""

Weights = Mapping[str, Any]
"""The base weights, nested dicts of arrays, as `Qwen3` keeps them."""


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Which matrices are adapted and how. Rank and alpha are the paper's; targets and dropout are ours."""

    rank: int = 16
    alpha: float = 16.0
    targets: tuple[str, ...] = ("q", "k", "v", "o")  # of q, k, v, o, gate, up, down
    dropout: float = 0.0  # fraction of the inputs of A set to zero while training

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.rank < 1:
            raise UserError(f"LoraSettings.rank: expected at least 1, got {self.rank}")
        if not self.alpha > 0:
            raise UserError(f"LoraSettings.alpha: expected a positive number, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"LoraSettings.dropout: expected 0 <= dropout < 1, got {self.dropout}")
        unknown = [name for name in self.targets if name not in TARGETS]
        if unknown or not self.targets or len(set(self.targets)) != len(self.targets):
            raise UserError(
                f"LoraSettings.targets: expected different names out of {', '.join(TARGETS)}, "
                f"got {', '.join(self.targets) or 'none'}"
            )

    @property
    def scale(self) -> float:
        """alpha / rank, the factor of the adapters' product."""
        return self.alpha / self.rank


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tuning:
    """Adapters as a pass applies them: with their settings, and a key that draws their dropout (None for none)."""

    adapters: Adapters
    lora: LoraSettings = field(metadata={"static": True})
    prng_key: Array | None = None


def target_widths(settings: Qwen3Settings) -> dict[str, tuple[int, int]]:
    """Width of input and output of every matrix that can be adapted."""
    width, mlp = settings.width, settings.mlp_width
    query, key = settings.num_heads * settings.head_width, settings.num_kv_heads * settings.head_width
    return {
        "q": (width, query),
        "k": (width, key),
        "v": (width, key),
        "o": (query, width),
        "gate": (width, mlp),
        "up": (width, mlp),
        "down": (mlp, width),
    }


def init_adapters(settings: Qwen3Settings, lora: LoraSettings, prng_key: Array) -> Adapters:
    """Fresh adapters that change nothing yet: B is zero, A is uniform in +-1 / sqrt(in), as `peft` draws it.

    (Its Kaiming-uniform with a = sqrt(5) has the bound sqrt(6 / ((1 + a^2) in)) = 1 / sqrt(in).)
    """
    widths, num_layers = target_widths(settings), settings.num_layers

    def pair(target: str, own_key: Array) -> dict[str, Array]:
        inputs, outputs = widths[target]
        bound = inputs**-0.5
        return {
            "a": jax.random.uniform(own_key, (num_layers, inputs, lora.rank), jnp.float32, -bound, bound),
            "b": jnp.zeros((num_layers, lora.rank, outputs), jnp.float32),
        }

    # A target's draw does not depend on which others are adapted.
    return {name: pair(name, jax.random.fold_in(prng_key, TARGETS.index(name))) for name in lora.targets}


def low_rank(input_xi: Array, pair: Mapping[str, Array], lora: LoraSettings, prng_key: Array | None) -> Array:
    """(alpha / rank) (dropout(x) A) B of one layer, [X, out] in the type of x; dropout only with a prng_key."""
    dtype = input_xi.dtype
    precision = matmul_precision(dtype)
    if prng_key is not None and lora.dropout > 0:
        kept_xi = jax.random.bernoulli(prng_key, 1.0 - lora.dropout, input_xi.shape)
        input_xi = jnp.where(kept_xi, input_xi / (1.0 - lora.dropout), jnp.zeros_like(input_xi))
    narrow_xr = jnp.dot(input_xi, pair["a"].astype(dtype), precision=precision)
    return jnp.dot(narrow_xr, (pair["b"] * lora.scale).astype(dtype), precision=precision)


def merge(base: Weights, adapters: Adapters, lora: LoraSettings) -> Weights:
    """Base weights with the adapters added in, W + (alpha / rank) A B; summed in float32, kept in the base's type."""
    layers = dict(base["layers"])
    for target, pair in adapters.items():
        change = jnp.einsum("lir,lro->lio", pair["a"], pair["b"], precision=jax.lax.Precision.HIGHEST) * lora.scale
        layers[target] = (layers[target].astype(jnp.float32) + change).astype(layers[target].dtype)
    return {**base, "layers": layers}


def num_parameters(tree: Any) -> int:
    """Numbers in all arrays (or shapes) of a pytree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
