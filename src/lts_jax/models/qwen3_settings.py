"""The shape of a Qwen3 or Llama model, and how it is read from a Hugging Face `config.json`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lts_jax.errors import UserError
from lts_jax.storage import read_json, write_json

SIZES = {  # our name: the name in config.json
    "width": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "mlp_width": "intermediate_size",
    "vocabulary_size": "vocab_size",
}

FAMILIES = {"qwen3": "Qwen3", "llama": "Llama"}  # model types in config.json and the names of their classes
_ROPE_KINDS = ("rope_type", "type")
_ROPE_FACTORS = ("factor", "partial_rotary_factor", "attention_factor")
_PLAIN_ROPE = ("rope_theta", "original_max_position_embeddings")  # change no position by themselves
_JSON_NAMES = {dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Qwen3Settings:
    """Shape and arithmetic of a dense Qwen3 (arXiv 2505.09388). The defaults are Qwen3-0.6B, the paper's controller.

    Without `query_key_norm` it is a Llama (arXiv 2302.13971): no norm on the heads of queries and keys.
    `attention_bias` adds a vector to each of the four dense products of attention.
    `compute_dtype` is also the type that the weights are kept in; norms, softmax and attention logits are float32 in
    either. `remat` computes each block again in the backward pass; without it only what costs no dense product is
    computed again. `unroll` is the number of layers in one step of the scan over layers: more is slower to compile.
    """

    width: int = 1024
    num_layers: int = 28
    num_heads: int = 16
    num_kv_heads: int = 8
    head_width: int = 128
    mlp_width: int = 3072
    vocabulary_size: int = 151_936
    rope_theta: float = 1e6
    norm_epsilon: float = 1e-6
    tied_embeddings: bool = True
    query_key_norm: bool = True
    attention_bias: bool = False
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False
    unroll: int = 1

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        for name in (*SIZES, "head_width", "unroll"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"Qwen3Settings.{name}: expected a whole number of at least 1, got {value!r}")
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"Qwen3Settings.num_heads: expected a multiple of num_kv_heads = {self.num_kv_heads}, "
                f"got {self.num_heads}"
            )
        if self.head_width % 2:
            raise UserError(f"Qwen3Settings.head_width: expected an even number, got {self.head_width}")
        for name in ("rope_theta", "norm_epsilon"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UserError(f"Qwen3Settings.{name}: expected a positive number, got {value!r}")
        if self.compute_dtype not in ("float32", "bfloat16"):
            raise UserError(
                f'Qwen3Settings.compute_dtype: expected "float32" or "bfloat16", got {self.compute_dtype!r}'
            )


def settings_from_json(
    path: Path | str,
    *,
    compute_dtype: Literal["float32", "bfloat16"] = "float32",
    remat: bool = False,
    unroll: int = 1,
) -> Qwen3Settings:
    """Settings from a Hugging Face `config.json` of a dense Qwen3 or Llama, of transformers before and since version 5.

    Args:
        path: the file, or the folder that holds it.
        compute_dtype: our choice; the type of the file's weights does not bind it.
        remat: as in `Qwen3Settings`.
        unroll: as in `Qwen3Settings`.

    Raises:
        UserError: no such file, another family, or a feature that this model has not (rope scaling, sliding window,
            biases in the MLP, another activation, quantised weights); names file, expected, found.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    config = read_json(path)
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(config).__name__}")
    for name, kind in (("rope_scaling", dict), ("rope_parameters", dict), ("layer_types", list)):
        if not isinstance(config.get(name) or kind(), kind):
            raise UserError(f"{path}: {name}: expected a JSON {_JSON_NAMES[kind]}, found {config[name]!r}")
    rope = config.get("rope_parameters") or {}
    _refuse_what_we_have_not(path, config)
    for name in ("rope_scaling", "rope_parameters"):
        _refuse_scaling(path, name, config.get(name) or {})
    sizes: dict[str, Any] = {ours: _require(path, config, theirs) for ours, theirs in SIZES.items()}
    thetas = [place["rope_theta"] for place in (rope, config) if place.get("rope_theta") is not None]
    if len(thetas) == 2 and thetas[0] != thetas[1]:
        raise UserError(f"{path}: rope_theta: expected one, found {thetas[0]!r} in rope_parameters and {thetas[1]!r}")
    is_qwen3 = config["model_type"] == "qwen3"
    old_theta = None if is_qwen3 else 1e4  # Llama's first files, from before there was a choice, are silent
    sizes["rope_theta"] = thetas[0] if thetas else old_theta or _require(path, config, "rope_theta")
    head_width = config.get("head_dim")
    try:
        if head_width is None:  # defaults of transformers' classes where the file is silent
            head_width = 128 if is_qwen3 else sizes["width"] // sizes["num_heads"]
        return Qwen3Settings(
            **sizes,
            head_width=head_width,
            norm_epsilon=config.get("rms_norm_eps", 1e-6),
            tied_embeddings=bool(config.get("tie_word_embeddings", False)),
            query_key_norm=is_qwen3,
            attention_bias=bool(config.get("attention_bias", False)),
            compute_dtype=compute_dtype,
            remat=remat,
            unroll=unroll,
        )
    except (UserError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"{path}: {error}") from None


def _require(path: Path, config: dict[str, Any], name: str) -> Any:
    if name not in config:
        raise UserError(f"{path}: expected the field {name} of a {FAMILIES[config['model_type']]} model, found none")
    return config[name]


def _refuse_scaling(path: Path, name: str, rope: dict[str, Any]) -> None:
    """Refuse rotary positions that are not the plain ones, in either field: one that is plain does not undo the other.

    The kind says so, in older files as `type`, and so does anything else than the base of the angles.
    """
    for key in sorted(rope, key=lambda key: (key not in _ROPE_KINDS, key)):
        value = rope[key]
        expected = "default" if key in _ROPE_KINDS else 1.0 if key in _ROPE_FACTORS else None
        if value not in (expected, None) and key not in _PLAIN_ROPE:
            raise UserError(f"{path}: rope scaling: expected {expected!r}, found {value!r} ({name}.{key})")


def _refuse_what_we_have_not(path: Path, config: dict[str, Any]) -> None:
    family = config.get("model_type")
    if family not in FAMILIES:
        raise UserError(f"{path}: model_type: expected {' or '.join(map(repr, FAMILIES))}, found {family!r}")
    window = config.get("sliding_window") if config.get("use_sliding_window") else None
    kinds = sorted({str(kind) for kind in config.get("layer_types") or ["full_attention"]})
    found_and_expected = {
        "hidden_act": (config.get("hidden_act", "silu"), "silu"),
        "mlp_bias": (bool(config.get("mlp_bias", False)), False),
        "sliding_window": (window, None),
        "layer_types": (kinds, ["full_attention"]),
        "partial_rotary_factor": (config.get("partial_rotary_factor", 1.0), 1.0),
        "quantization_config": (config.get("quantization_config"), None),
    }
    for name, (found, expected) in found_and_expected.items():
        if found != expected:
            raise UserError(f"{path}: {name}: expected {expected!r}, found {found!r}")


def context_length(path: Path | str) -> int | None:
    """Most tokens of a sequence, as the `config.json` in a folder says; None where it does not."""
    found = read_json(Path(path) / "config.json", dict).get("max_position_embeddings")
    return found if isinstance(found, int) and found > 0 else None


def write_settings(path: Path | str, settings: Qwen3Settings, max_tokens: int | None = None) -> None:
    """Write a `config.json` that `settings_from_json` and `transformers` read; `max_tokens` of a sequence, if known."""
    family = "qwen3" if settings.query_key_norm else "llama"
    sizes = {theirs: getattr(settings, ours) for ours, theirs in SIZES.items()}
    config = {
        "architectures": [f"{FAMILIES[family]}ForCausalLM"],
        "model_type": family,
        **sizes,
        "head_dim": settings.head_width,
        "hidden_act": "silu",
        "attention_bias": settings.attention_bias,
        "rms_norm_eps": settings.norm_epsilon,
        "rope_theta": settings.rope_theta,
        "rope_parameters": {"rope_theta": settings.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": settings.tied_embeddings,
        "dtype": settings.compute_dtype,
    }
    if max_tokens is not None:
        config["max_position_embeddings"] = max_tokens
    write_json(Path(path), config)
