"""Qwen3 or Llama weights in a local Hugging Face folder: `config.json` and safetensors, one file or shards and index.

Everything is checked from the files' headers before the first tensor is read, so a wrong folder leaves nothing
half-loaded. Tensors are then read one by one into the stacked arrays: the model is never twice in memory.
"""

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lts_jax.errors import UserError
from lts_jax.models.lora import Weights
from lts_jax.models.qwen3 import abstract_weights
from lts_jax.models.qwen3_settings import Qwen3Settings, settings_from_json, write_settings
from lts_jax.models.weights_files import INDEX, WEIGHTS, Source, check_tensor, checkpoint_files, open_tensors
from lts_jax.storage import replacing

LAYER_TENSORS = {  # our name: that in the files, below layers.I
    "attention_norm": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "mlp_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}  # which of them there are follows from the settings
OTHER_TENSORS = {"embedding": "embed_tokens", "final_norm": "norm"}
_BEYOND_SHAPES = ("num_heads", "num_kv_heads", "rope_theta", "norm_epsilon", "tied_embeddings")  # not seen in tensors


def load_weights(folder: Path | str, settings: Qwen3Settings | None = None) -> Weights:
    """The weights in `folder`, in `settings.compute_dtype`, layers stacked and dense matrices as [in, out].

    Args:
        folder: as `save_pretrained` writes it, or a copy of a repository of the hub.
        settings: as made by `settings_from_json` of the same folder (the default).

    Raises:
        UserError: a missing file or shard, a file that is not safetensors, a tensor that is missing, too many, of
            another shape, or of a type other than F32, F16, BF16; names the file and what was expected.
    """
    folder = Path(folder)
    settings = settings or settings_from_json(folder)
    dtype = jnp.dtype(settings.compute_dtype)
    with open_tensors(checkpoint_files(folder)) as tensors:
        prefix = check_tensors(folder, settings, tensors)

        def take(name: str) -> np.ndarray:
            return tensors[name].file.get_tensor(name)

        def stack(name: str, shape: tuple[int, ...]) -> Any:
            array = np.empty(shape, dtype)
            for layer in range(settings.num_layers):
                array[layer] = take(f"{prefix}layers.{layer}.{layer_tensor(name)}").T
            return jnp.asarray(array)

        shapes = abstract_weights(settings)
        weights = {name: jnp.asarray(take(f"{prefix}{theirs}.weight"), dtype) for name, theirs in OTHER_TENSORS.items()}
        if not settings.tied_embeddings:
            weights["unembedding"] = jnp.asarray(take("lm_head.weight"), dtype)
        return {**weights, "layers": {name: stack(name, leaf.shape) for name, leaf in shapes["layers"].items()}}


def check_weights(folder: Path | str, settings: Qwen3Settings | None = None) -> None:
    """Check all headers as `load_weights` does, and read nothing else. Raises its errors."""
    folder = Path(folder)
    settings = settings or settings_from_json(folder)
    with open_tensors(checkpoint_files(folder)) as tensors:
        check_tensors(folder, settings, tensors)


def digest(folder: Path | str) -> str:
    """Sha256 in hexadecimal of what makes the model: names, types, shapes and bytes of all tensors, and its settings.

    The same for one file and for shards; independent of the compute type. Reads all weights: about a second per GB.
    """
    folder = Path(folder)
    settings = asdict(settings_from_json(folder))
    state = sha256(repr([(name, settings[name]) for name in _BEYOND_SHAPES]).encode())
    with open_tensors(checkpoint_files(folder)) as tensors:
        for name in sorted(tensors):
            view = tensors[name].file.get_slice(name)
            state.update(repr((name, view.get_dtype(), list(view.get_shape()))).encode())
            state.update(np.ascontiguousarray(tensors[name].file.get_tensor(name)).reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def save_weights(folder: Path | str, settings: Qwen3Settings, weights: Weights) -> None:
    """Write `config.json` and `model.safetensors` as `transformers` reads them, in the weights' own type."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    tensors = {f"model.{theirs}.weight": np.asarray(weights[name]) for name, theirs in OTHER_TENSORS.items()}
    if not settings.tied_embeddings:
        tensors["lm_head.weight"] = np.asarray(weights["unembedding"])
    for name, stacked in weights["layers"].items():
        for layer, array in enumerate(np.asarray(stacked)):
            tensors[f"model.layers.{layer}.{layer_tensor(name)}"] = np.ascontiguousarray(array.T)
    with replacing(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_settings(folder / "config.json", settings)


def layer_tensor(name: str) -> str:
    """What a layer's tensor is called in the files, below `layers.I`; "q_bias" is the bias of "q"."""
    if name.endswith("_bias"):
        return f"{LAYER_TENSORS[name.removesuffix('_bias')]}.bias"
    return f"{LAYER_TENSORS[name]}.weight"


def check_tensors(folder: Path, settings: Qwen3Settings, tensors: Mapping[str, Source]) -> str:
    """What stands before the names of the body ("model." in causal models, nothing in bare ones); all else checked."""
    whole = folder / INDEX if (folder / INDEX).is_file() else folder / WEIGHTS
    prefix = "" if "embed_tokens.weight" in tensors else "model."
    expected = expected_shapes(settings, prefix)
    for name, shape in expected.items():
        check_tensor(tensors, name, shape, whole)
    # Some tied checkpoints repeat the embedding as lm_head; older ones keep the rotary frequencies.
    extra = {name for name in tensors if not (name == "lm_head.weight" or name.endswith("rotary_emb.inv_freq"))}
    if extra - set(expected):
        family = "Qwen3" if settings.query_key_norm else "Llama"
        raise UserError(
            f"{whole}: expected the tensors of a {family} of {settings.num_layers} layers, found also "
            f"{min(extra - set(expected))}"
        )
    return prefix


def expected_shapes(settings: Qwen3Settings, prefix: str) -> dict[str, list[int]]:
    """Shapes of all tensors of a folder, by their names in its files."""
    shapes = abstract_weights(settings)
    expected = {f"{prefix}{theirs}.weight": list(shapes[name].shape) for name, theirs in OTHER_TENSORS.items()}
    if not settings.tied_embeddings:
        expected["lm_head.weight"] = list(shapes["unembedding"].shape)
    for layer in range(settings.num_layers):
        for name, leaf in shapes["layers"].items():
            expected[f"{prefix}layers.{layer}.{layer_tensor(name)}"] = list(leaf.shape[:0:-1])
    return expected
