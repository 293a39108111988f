"""Adapters in the files of `peft`: `adapter_config.json` and `adapter_model.safetensors`, read and written."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lts_jax.errors import UserError, show
from lts_jax.models.lora import TARGETS, Adapters, LoraSettings, target_widths
from lts_jax.models.qwen3_settings import Qwen3Settings
from lts_jax.models.weights import LAYER_TENSORS
from lts_jax.models.weights_files import check_tensor, open_tensors
from lts_jax.storage import read_json, replacing, write_text

CONFIG = "adapter_config.json"
ADAPTER = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"  # what older versions of peft wrote: a program, as far as a reader can tell

_TENSOR = re.compile(
    r"(?P<prefix>base_model\.model\.(?:model\.)?)layers\.\d+\.(?P<matrix>\w+\.\w+_proj)\.lora_[AB]\.weight"
)
_VARIANTS = (  # what changes the formula, and so must be off
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "fan_in_fan_out", "kasa_config", "layer_replication",
    "layers_to_transform", "lora_bias", "modules_to_save", "monteclora_config", "rank_pattern", "target_parameters",
    "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora", "use_rslora", "velora_config",
)  # fmt: skip
_HARMLESS_INITS = (None, True, False, "gaussian", "eva", "orthogonal")  # others change the base weights


def load_adapters(
    folder: Path | str, settings: Qwen3Settings, expected: LoraSettings | None = None
) -> tuple[LoraSettings, Adapters]:
    """Adapters that `peft` (or `save_adapters`) wrote, in float32, and their settings.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.
        settings: of the base model that the adapters must fit.
        expected: if given, rank, alpha and targets must be these; dropout may differ.

    Raises:
        UserError: a missing or broken file; another method than plain LoRA; another rank, alpha, targets, or base.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG)
    path = folder / ADAPTER
    if not path.is_file():
        old = f", and {PICKLED} is not read: save it again with safe_serialization=True" * (folder / PICKLED).is_file()
        raise UserError(f"{path}: no such file; expected the adapter of {CONFIG}{old}")
    with open_tensors({path: None}) as tensors:
        prefix, targets = _prefix_and_targets(path, tensors)
        _check_named(folder / CONFIG, config, {name.rpartition(".lora_")[0] for name in tensors}, targets)
        lora = _lora_settings(folder / CONFIG, config, targets)
        if expected is not None:
            _check_expected(folder / CONFIG, lora, expected)
            lora = replace(lora, targets=expected.targets)  # the same, in the order of the caller
        names = _tensor_names(settings, lora, prefix)
        for name, shape in names.values():
            check_tensor(tensors, name, shape, path)
        extra = set(tensors) - {name for name, _ in names.values()}
        if extra:
            raise UserError(f"{path}: expected adapters of {settings.num_layers} layers, found also {min(extra)}")

        def stack(target: str, part: str) -> Any:
            parts = [names[target, part, layer][0] for layer in range(settings.num_layers)]
            return jnp.asarray(np.stack([path_file.get_tensor(name).T.astype(np.float32) for name in parts]))

        path_file = next(iter(tensors.values())).file
        return lora, {target: {part: stack(target, part) for part in ("a", "b")} for target in lora.targets}


def save_adapters(
    folder: Path | str, adapters: Adapters, lora: LoraSettings, settings: Qwen3Settings, *, base: str | None = None
) -> None:
    """Write the adapters so that `peft` loads them onto `transformers`' Qwen3ForCausalLM, named or lying at `base`."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    tensors = {}
    for (target, part, layer), (name, _) in _tensor_names(settings, lora, "base_model.model.model.").items():
        tensors[name] = np.ascontiguousarray(np.asarray(adapters[target][part][layer], np.float32).T)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": [LAYER_TENSORS[target].split(".")[1] for target in lora.targets],
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
    }
    with replacing(folder / ADAPTER) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def _read_config(path: Path) -> Mapping[str, Any]:
    config = read_json(path)
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(config).__name__}")
    if config.get("peft_type") != "LORA":
        raise UserError(f"{path}: peft_type: expected 'LORA', found {config.get('peft_type')!r}")
    if config.get("bias", "none") != "none":
        raise UserError(f"{path}: bias: expected 'none', found {config['bias']!r}")
    for name in _VARIANTS:
        if config.get(name):
            raise UserError(f"{path}: {name}: expected none (plain LoRA), found {config[name]!r}")
    if config.get("init_lora_weights") not in _HARMLESS_INITS:
        raise UserError(
            f"{path}: init_lora_weights: expected one that leaves the base weights alone, "
            f"found {config['init_lora_weights']!r}"
        )
    return config


def _prefix_and_targets(path: Path, tensors: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    target_of = {LAYER_TENSORS[target]: target for target in TARGETS}
    prefixes, found = set(), set()
    for name in tensors:
        match = _TENSOR.fullmatch(name)
        if match is None or match["matrix"] not in target_of:
            raise UserError(f"{path}: expected LoRA matrices of Qwen3's {', '.join(target_of)}; found {name}")
        prefixes.add(match["prefix"])
        found.add(target_of[match["matrix"]])
    if len(prefixes) != 1:
        raise UserError(f"{path}: expected LoRA matrices of one model, found those of {len(prefixes)}")
    return prefixes.pop(), tuple(target for target in TARGETS if target in found)


def _check_named(path: Path, config: Mapping[str, Any], modules: set[str], targets: tuple[str, ...]) -> None:
    """See that the names in the configuration are those of the adapted modules: their ends, or for `all-linear` all.

    A pattern, or the word itself, says nothing to compare.
    """
    named = config.get("target_modules")
    if not isinstance(named, list):
        return
    ends = {module: {str(name) for name in named if f".{module}".endswith(f".{name}")} for module in modules}
    if not all(ends.values()) or set().union(*ends.values()) != set(map(str, named)):
        expected = sorted(LAYER_TENSORS[target].split(".")[1] for target in targets)
        raise UserError(f"{path}: target_modules: expected those of {ADAPTER}, {expected}, found {show(sorted(named))}")


def _lora_settings(path: Path, config: Mapping[str, Any], targets: tuple[str, ...]) -> LoraSettings:
    try:
        rank, alpha, dropout = config.get("r"), config.get("lora_alpha"), config.get("lora_dropout", 0.0)
        return LoraSettings(rank=rank, alpha=float(alpha), targets=targets, dropout=float(dropout))  # type: ignore
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: expected r, lora_alpha and lora_dropout as numbers ({error})") from None


def _check_expected(path: Path, found: LoraSettings, expected: LoraSettings) -> None:
    if found.rank != expected.rank:
        raise UserError(f"{path}: r: expected rank {expected.rank}, found {found.rank}")
    if found.alpha != expected.alpha:
        raise UserError(f"{path}: lora_alpha: expected {expected.alpha:g}, found {found.alpha:g}")
    if set(found.targets) != set(expected.targets):
        raise UserError(
            f"{path}: target_modules: expected adapters of {', '.join(expected.targets)}, "
            f"found {', '.join(found.targets)}"
        )


def _tensor_names(
    settings: Qwen3Settings, lora: LoraSettings, prefix: str
) -> dict[tuple[str, str, int], tuple[str, list[int]]]:
    """Name and shape in the file of (target, "a" or "b", layer)."""
    names = {}
    widths = target_widths(settings)
    for target in lora.targets:
        inputs, outputs = widths[target]
        for layer in range(settings.num_layers):
            stem = f"{prefix}layers.{layer}.{LAYER_TENSORS[target]}.lora_"
            names[target, "a", layer] = (f"{stem}A.weight", [lora.rank, inputs])
            names[target, "b", layer] = (f"{stem}B.weight", [outputs, lora.rank])
    return names
