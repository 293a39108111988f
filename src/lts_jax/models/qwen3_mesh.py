"""Qwen3 over a mesh of devices: each dense matrix is cut along its axis "model", as in Megatron (arXiv 1909.08053).

q, k, v, gate and up are cut by output, o and down by input, so that a block has two sums over devices; the embedding is
cut by token. Norms, adapters and soft tokens lie on every device. What is exchanged follows from where the weights lie;
the network's code does not know of it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lts_jax.errors import UserError
from lts_jax.models.lora import Weights
from lts_jax.models.qwen3_settings import Qwen3Settings

_CUTS: Mapping[str, PartitionSpec] = {
    **dict.fromkeys(("q", "k", "v", "gate", "up"), PartitionSpec(None, None, "model")),
    **dict.fromkeys(("o", "down"), PartitionSpec(None, "model", None)),
    **dict.fromkeys(("embedding", "unembedding"), PartitionSpec("model", None)),
}


def device_mesh(num_data: int, num_model: int) -> Mesh:
    """The first `num_data * num_model` devices, as axes "data" (tasks of an update) and "model" (parts of the base).

    Raises:
        UserError: there are fewer devices.
    """
    devices = jax.devices()
    if num_data * num_model > len(devices):
        raise UserError(
            f"mesh: expected at most the {len(devices)} devices there are, got {num_data} for data times {num_model} "
            "for the model"
        )
    return Mesh(np.array(devices[: num_data * num_model]).reshape(num_data, num_model), ("data", "model"))


def place(weights: Weights, settings: Qwen3Settings, mesh: Mesh) -> Weights:
    """The weights, cut over the mesh.

    Raises:
        UserError: the heads, the MLP or the vocabulary cannot be divided by the mesh's axis "model".
    """
    parts = mesh.shape["model"]
    for name in ("num_kv_heads", "mlp_width", "vocabulary_size"):
        if getattr(settings, name) % parts:
            raise UserError(f"mesh: expected the base's {name} = {getattr(settings, name)} to be a multiple of {parts}")

    def put(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        return jax.device_put(leaf, NamedSharding(mesh, _CUTS.get(path[-1].key, PartitionSpec())))

    laid: Weights = jax.tree_util.tree_map_with_path(put, weights)
    return laid
