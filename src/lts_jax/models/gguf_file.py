"""Weights, shape and tokenizer of a Llama or Qwen3 in one GGUF file, turned into a folder in Hugging Face's form.

GGUF is llama.cpp's format. It is read and its blocks are made float32 by the library `gguf`; what is ours is which
tensor is which. Two things differ from Hugging Face's files. Rows of the queries' and keys' matrices of a Llama stand
in the order of *interleaved* rotation, pairs (2 i, 2 i + 1), and are put back into the order of pairs (i, i + F / 2):
with the rows as they stand nothing fails and every logit is wrong. And the tokenizer is lists of tokens and merges.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lts_jax.errors import UserError, describe
from lts_jax.models.qwen3_settings import FAMILIES, Qwen3Settings, write_settings
from lts_jax.models.weights import OTHER_TENSORS, layer_tensor
from lts_jax.models.weights_files import WEIGHTS
from lts_jax.storage import replacing, write_json, write_text

BLOCKS = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
"""Kinds of blocks that are read; each has its formula in ggml's documentation and is made float32 exactly."""

_LAYER = {
    "attention_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
    "query_norm": "attn_q_norm", "key_norm": "attn_k_norm",
    "mlp_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip
_OTHER = {"embedding": "token_embd.weight", "final_norm": "output_norm.weight"}
_SIZES = {
    "width": "embedding_length",
    "num_layers": "block_count",
    "num_heads": "attention.head_count",
    "mlp_width": "feed_forward_length",
}
_CONTROL = (3, 4)  # token types that are never spelt out of text: control, user defined
_SPLITS: Mapping[str, tuple[bool, str]] = {  # by the file's name of its way to split text: single digits? a pattern
    "smollm": (True, ""),
    "gpt-2": (False, ""),
    "qwen2": (
        False,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+",
    ),
    "llama-bpe": (
        False,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+",
    ),
}


def convert_gguf(path: Path | str, folder: Path | str) -> None:
    """Write `config.json`, `model.safetensors` (float32), `tokenizer.json` and `tokenizer_config.json` to `folder`.

    Everything is checked before the first file is written.

    Raises:
        UserError: the extra `local` is missing; a file that is cut short or no GGUF; another family, a kind of block
            that is not in `BLOCKS`, a tensor of another shape or none, a tokenizer that is not byte-level BPE.
    """
    path, folder = Path(path), Path(folder)
    reader = _open(path)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    settings = _settings(path, fields, {tensor.name: [int(size) for size in tensor.shape] for tensor in reader.tensors})
    found = {tensor.name: tensor for tensor in reader.tensors}
    names = _names(settings)
    _check(path, settings, found, names)
    tokenizer, tokenizer_settings = _tokenizer(path, fields, settings.vocabulary_size)
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {theirs: _read(found[name], settings, name) for name, theirs in names.items()}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_text(folder / "tokenizer.json", tokenizer)
    write_json(folder / "tokenizer_config.json", tokenizer_settings)
    length = _value(fields, f"{_family(path, fields)}.context_length")
    write_settings(folder / "config.json", settings, int(length) if length else None)


def need_reader() -> None:
    """See that the library is there, before anything is fetched.

    Raises:
        UserError: it is not.
    """
    if find_spec("gguf") is None:
        raise UserError("reading a GGUF file needs the extra local: pip install 'lts-jax[local]'")


def _open(path: Path) -> Any:
    need_reader()
    from gguf import GGUFReader

    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UserError(f"{path}: expected a GGUF file, found another")
        return GGUFReader(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise UserError(f"{path}: expected a whole GGUF file, found one that is cut short or broken "
                        f"({describe(error)})") from None  # fmt: skip


def _value(fields: Mapping[str, Any], name: str) -> Any:
    """A field's value; None where there is none. Texts that are no UTF-8 hold the replacement character."""
    return fields[name].contents() if name in fields else None


def _family(path: Path, fields: Mapping[str, Any]) -> str:
    family = _value(fields, "general.architecture")
    if family not in FAMILIES:
        raise UserError(f"{path}: general.architecture: expected {' or '.join(FAMILIES)}, found {family!r}")
    return str(family)


def _settings(path: Path, fields: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> Qwen3Settings:
    """Shape of the model. `shapes` are the tensors' as the file has them, the innermost axis first."""
    family = _family(path, fields)

    def need(name: str) -> Any:
        value = _value(fields, f"{family}.{name}")
        if value is None:
            raise UserError(f"{path}: expected the field {family}.{name}, found none")
        return value

    for name in ("rope.scaling.type", "expert_count"):
        value = _value(fields, f"{family}.{name}")
        if value not in (None, 0, "none"):
            raise UserError(f"{path}: {family}.{name}: expected none, found {value!r}")
    if "rope_freqs.weight" in shapes:
        raise UserError(f"{path}: rope_freqs.weight: expected plain rotary positions, found scaled ones")
    sizes: dict[str, Any] = {ours: int(need(theirs)) for ours, theirs in _SIZES.items()}
    kv_heads = _value(fields, f"{family}.attention.head_count_kv")
    head_width = _value(fields, f"{family}.attention.key_length") or sizes["width"] // max(sizes["num_heads"], 1)
    turned = _value(fields, f"{family}.rope.dimension_count")
    if turned not in (None, head_width):
        raise UserError(f"{path}: {family}.rope.dimension_count: expected {head_width}, found {turned}")
    theta = _value(fields, f"{family}.rope.freq_base")
    try:
        return Qwen3Settings(
            **sizes,
            num_kv_heads=int(kv_heads or sizes["num_heads"]),
            head_width=int(head_width),
            vocabulary_size=shapes.get(_OTHER["embedding"], [0, 0])[1],
            rope_theta=_short(1e4 if theta is None else theta),
            norm_epsilon=_short(need("attention.layer_norm_rms_epsilon")),
            tied_embeddings="output.weight" not in shapes,
            query_key_norm=family == "qwen3",
            attention_bias="blk.0.attn_q.bias" in shapes,
        )
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def _short(value: Any) -> float:
    """The shortest decimal that is this number in float32, as the field is: 1e-05 and not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


def _names(settings: Qwen3Settings) -> dict[str, str]:
    """Names of all tensors: in a GGUF file, and in our folder."""
    from lts_jax.models.qwen3 import abstract_weights

    names = {theirs: f"model.{OTHER_TENSORS[ours]}.weight" for ours, theirs in _OTHER.items()}
    if not settings.tied_embeddings:
        names["output.weight"] = "lm_head.weight"
    for layer in range(settings.num_layers):
        for ours in abstract_weights(settings)["layers"]:
            bare = ours.removesuffix("_bias")
            theirs = f"blk.{layer}.{_LAYER[bare]}.{'bias' if bare != ours else 'weight'}"
            names[theirs] = f"model.layers.{layer}.{layer_tensor(ours)}"
    return names


def _check(path: Path, settings: Qwen3Settings, found: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Every tensor is there, in its shape and in a kind of block that is read, and there is no other."""
    from lts_jax.models.weights import expected_shapes

    shapes = expected_shapes(settings, "model.")
    for name, theirs in names.items():
        if name not in found:
            raise UserError(f"{path}: expected tensor {name}, found none")
        shape = [int(size) for size in found[name].shape][::-1]
        if shape != shapes[theirs]:
            raise UserError(f"{path}: tensor {name}: expected shape {shapes[theirs]}, found {shape}")
    extra = sorted(set(found) - set(names))
    if extra:
        raise UserError(f"{path}: tensor {extra[0]}: expected no such tensor in a {_name_of(settings)}")
    for name, tensor in found.items():
        if tensor.tensor_type.name not in BLOCKS:
            kinds = ", ".join(BLOCKS)
            raise UserError(f"{path}: tensor {name}: expected blocks of {kinds}, found {tensor.tensor_type.name}")


def _name_of(settings: Qwen3Settings) -> str:
    return "Qwen3" if settings.query_key_norm else "Llama"


def _read(tensor: Any, settings: Qwen3Settings, name: str) -> np.ndarray:
    """A tensor as float32, rows of queries and keys in the order of Hugging Face's files."""
    from gguf.quants import dequantize

    array = np.ascontiguousarray(dequantize(np.asarray(tensor.data), tensor.tensor_type), np.float32)
    part = name.split(".")[-2]
    if settings.query_key_norm or part not in ("attn_q", "attn_k"):
        return array
    num_heads = settings.num_heads if part == "attn_q" else settings.num_kv_heads
    pairs = array.reshape(num_heads, settings.head_width // 2, 2, -1)  # interleaved: the two of a pair are neighbours
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(array.shape))


def _tokenizer(path: Path, fields: Mapping[str, Any], vocabulary_size: int) -> tuple[str, dict[str, Any]]:
    """The tokenizer as JSON, and what else is known: chat template, first and last tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind, split = (_value(fields, f"tokenizer.ggml.{name}") for name in ("model", "pre"))
    if kind != "gpt2" or split not in _SPLITS:
        known = ", ".join(_SPLITS)
        raise UserError(f"{path}: tokenizer: expected byte-level BPE (gpt2) of {known}, found {kind!r} of {split!r}")
    tokens, merges = (_value(fields, f"tokenizer.ggml.{name}") for name in ("tokens", "merges"))
    if not tokens or len(tokens) != vocabulary_size:
        found = len(tokens or ())
        raise UserError(f"{path}: tokenizer.ggml.tokens: expected {vocabulary_size} tokens, found {found}")
    if not merges:
        raise UserError(f"{path}: tokenizer.ggml.merges: expected the merges of a BPE tokenizer, found none")
    digits, pattern = _SPLITS[split]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    try:
        pairs = [tuple(merge.split(" ")) for merge in merges]
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=split == "llama-bpe"))
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"{path}: tokenizer.ggml.merges: expected pairs of tokens ({describe(error)})") from None
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern:
        from tokenizers import Regex

        steps.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = _value(fields, "tokenizer.ggml.token_type") or []
    control = [token for token, one in zip(tokens, kinds, strict=False) if one in _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    settings: dict[str, Any] = {"chat_template": _value(fields, "tokenizer.chat_template")}
    for ours, theirs in (("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")):
        place = _value(fields, f"tokenizer.ggml.{theirs}")
        if place is not None and 0 <= place < len(tokens):
            settings[ours] = tokens[place]
    settings["add_bos_token"] = bool(_value(fields, "tokenizer.ggml.add_bos_token"))
    return str(tokenizer.to_str()), {name: value for name, value in settings.items() if value is not None}
