"""Qwen3 weights in a local Hugging Face folder: `config.json` and safetensors, in one file or in shards with an index.

Everything is checked from the files' headers before the first tensor is read, so a wrong folder leaves nothing
half-loaded. Tensors are then read one by one into the stacked arrays: the model is never twice in memory.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lts_jax.errors import UserError
from lts_jax.models.lora import Weights
from lts_jax.models.qwen3 import abstract_weights
from lts_jax.models.qwen3_settings import Qwen3Settings, settings_from_json, write_settings
from lts_jax.storage import read_json, replacing

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
}
OTHER_TENSORS = {"embedding": "embed_tokens", "final_norm": "norm"}
DTYPES = ("F32", "F16", "BF16")
_BEYOND_SHAPES = ("num_heads", "num_kv_heads", "rope_theta", "norm_epsilon", "tied_embeddings")  # not seen in tensors


class _Source(NamedTuple):
    """Where a tensor is."""

    path: Path
    file: Any  # open safetensors file


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
    with _open_tensors(folder) as tensors:
        prefix = _checked_prefix(folder, settings, tensors)

        def take(name: str) -> np.ndarray:
            return tensors[name].file.get_tensor(name)

        def stacked(name: str, shape: tuple[int, ...]) -> Any:
            array = np.empty(shape, dtype)
            for layer in range(settings.num_layers):
                array[layer] = take(f"{prefix}layers.{layer}.{LAYER_TENSORS[name]}.weight").T
            return jnp.asarray(array)

        shapes = abstract_weights(settings)
        weights = {name: jnp.asarray(take(f"{prefix}{theirs}.weight"), dtype) for name, theirs in OTHER_TENSORS.items()}
        if not settings.tied_embeddings:
            weights["unembedding"] = jnp.asarray(take("lm_head.weight"), dtype)
        return {**weights, "layers": {name: stacked(name, leaf.shape) for name, leaf in shapes["layers"].items()}}


def digest(folder: Path | str) -> str:
    """Sha256 in hexadecimal of what makes the model: names, types, shapes and bytes of all tensors, and its settings.

    The same for one file and for shards; independent of the compute type. Reads all weights: about a second per GB.
    """
    folder = Path(folder)
    settings = asdict(settings_from_json(folder))
    state = sha256(repr([(name, settings[name]) for name in _BEYOND_SHAPES]).encode())
    with _open_tensors(folder) as tensors:
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
    for name, theirs in LAYER_TENSORS.items():
        for layer, array in enumerate(np.asarray(weights["layers"][name])):
            tensors[f"model.layers.{layer}.{theirs}.weight"] = np.ascontiguousarray(array.T)
    with replacing(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_settings(folder / "config.json", settings)


@contextmanager
def _open_tensors(folder: Path) -> Iterator[Mapping[str, _Source]]:
    """Name of every tensor of the folder, with the file it is in, open. Only headers are read so far."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise UserError("Qwen3 weights need the extra qwen: pip install 'lts-jax[qwen]'") from None
    with ExitStack() as opened:
        tensors: dict[str, _Source] = {}
        for path, names in _files(folder).items():
            try:
                file = opened.enter_context(safe_open(path, framework="numpy"))
            except (SafetensorError, OSError) as error:
                problem = " ".join(str(error).split())
                raise UserError(f"{path}: expected a whole safetensors file, found another ({problem})") from None
            found = set(file.keys())
            if names is not None and found != names:
                name = min(found ^ names)
                raise UserError(
                    f"{path}: expected {'' if name in names else 'no '}tensor {name}, as the index says, "
                    f"found {'it' if name in found else 'none'}"
                )
            tensors |= dict.fromkeys(found, _Source(path, file))
        yield tensors


def _files(folder: Path) -> dict[Path, set[str] | None]:
    """The weight files, with the tensors that the index puts into each (None: no index)."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if not index.is_file():
        if not single.is_file():
            raise UserError(f"{single}: no such file; expected it, or shards with {index.name}")
        return {single: None}
    plan = read_json(index)
    shard_of = plan.get("weight_map") if isinstance(plan, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise UserError(f"{index}: expected a field weight_map from tensors to files, found none")
    files = {folder / shard: {name for name in shard_of if shard_of[name] == shard} for shard in shard_of.values()}
    for path, names in files.items():
        if path.parent != folder or not path.is_file():
            raise UserError(f"{path}: expected this shard with {len(names)} tensors, as {index.name} says, found none")
    return dict(files)


def _checked_prefix(folder: Path, settings: Qwen3Settings, tensors: Mapping[str, _Source]) -> str:
    """What stands before the names of the body ("model." in causal models, nothing in bare ones); all else checked."""
    index = folder / "model.safetensors.index.json"
    whole = index if index.is_file() else folder / "model.safetensors"
    prefix = "" if "embed_tokens.weight" in tensors else "model."
    expected = _expected_shapes(settings, prefix)
    for name, shape in expected.items():
        if name not in tensors:
            raise UserError(f"{whole}: expected tensor {name} of shape {shape}, found none")
        where, view = tensors[name].path, tensors[name].file.get_slice(name)
        if list(view.get_shape()) != shape:
            raise UserError(f"{where}: tensor {name}: expected shape {shape}, found {list(view.get_shape())}")
        if view.get_dtype() not in DTYPES:
            raise UserError(f"{where}: tensor {name}: expected type {', '.join(DTYPES)}, found {view.get_dtype()}")
    # Some tied checkpoints repeat the embedding as lm_head; older ones keep the rotary frequencies.
    extra = {name for name in tensors if not (name == "lm_head.weight" or name.endswith("rotary_emb.inv_freq"))}
    if extra - set(expected):
        raise UserError(
            f"{whole}: expected the tensors of a Qwen3 of {settings.num_layers} layers, found also "
            f"{min(extra - set(expected))}"
        )
    return prefix


def _expected_shapes(settings: Qwen3Settings, prefix: str) -> dict[str, list[int]]:
    shapes = abstract_weights(settings)
    expected = {f"{prefix}{theirs}.weight": list(shapes[name].shape) for name, theirs in OTHER_TENSORS.items()}
    if not settings.tied_embeddings:
        expected["lm_head.weight"] = list(shapes["unembedding"].shape)
    for layer in range(settings.num_layers):
        for name, theirs in LAYER_TENSORS.items():
            expected[f"{prefix}layers.{layer}.{theirs}.weight"] = list(shapes["layers"][name].shape[:0:-1])
    return expected
