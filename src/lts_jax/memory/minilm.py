"""The MiniLM encoder: sentence vectors from a local folder of weights. Nothing is downloaded.

A folder holds `config.json`, `model.safetensors` and `tokenizer.json` (with the vocabulary), as the repository
sentence-transformers/all-MiniLM-L6-v2 on the Hugging Face hub does.
"""

from collections.abc import Sequence
from dataclasses import fields
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from lts_jax.errors import UserError
from lts_jax.memory.by_length import encode_by_length
from lts_jax.storage import read_json

ALL_MINILM_L6_V2_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors

_LENGTH_BUCKETS = (16, 32, 64, 128, 256, 512)  # tokens; a text is padded to the next, so few shapes are compiled
_BATCH_BUCKETS = (1, 8, 32)  # texts


class MiniLMEncoder:
    """Mean-pooled BERT vectors in Flax, one compiled function per pair of buckets (texts, tokens)."""

    def __init__(self, folder: Path | str, *, max_tokens: int = 256, expected_sha256: str | None = None) -> None:
        """Load the encoder in `folder`.

        `max_tokens` cuts longer texts (256 is the model's own limit). `expected_sha256`, when given, must be the digest
        of `model.safetensors`; `ALL_MINILM_L6_V2_SHA256` is the published model's.

        Raises:
            UserError: a file or an optional package is missing, the digest or a tensor's shape is another, or the
                model is not a BERT encoder that this code computes.
        """
        from lts_jax.models.tokens import load_tokenizer

        folder = Path(folder)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / name}: no such file; expected config.json, model.safetensors, tokenizer.json"
                )
        digest = _checked_digest(folder / "model.safetensors", expected_sha256)
        self._settings = _read_settings(folder / "config.json")
        if not 1 <= max_tokens <= self._settings.max_position_embeddings:
            raise UserError(
                f"max_tokens: expected 1 to {self._settings.max_position_embeddings} for this model, got {max_tokens}"
            )
        self._tokenizer = load_tokenizer(folder, extra="minilm")
        self._tokenizer.enable_truncation(max_tokens)
        if self._tokenizer.get_vocab_size() > self._settings.vocab_size:
            raise UserError(f"{folder}: tokenizer.json has more tokens than config.json's vocab_size")
        self._params = _read_params(folder / "model.safetensors", self._settings)
        self._max_tokens = max_tokens
        tokenizer_digest = sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
        self._name = f"minilm-{self.dim}-{max_tokens}-{digest[:12]}-{tokenizer_digest[:8]}"

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._settings.hidden_size

    @property
    def name(self) -> str:
        """Name with digests of weights and tokenizer."""
        return self._name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D], rows of unit L2 norm; blank texts give zeros."""
        return encode_by_length(texts, self.dim, self._tokenize, self._encode_batch, _BATCH_BUCKETS[-1])

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        return [found.ids for found in self._tokenizer.encode_batch(texts)]

    def _encode_batch(self, tokens: list[list[int]]) -> np.ndarray:
        from lts_jax.models.minilm import embed_tokens

        width = min(_bucket(max(map(len, tokens)), _LENGTH_BUCKETS), self._settings.max_position_embeddings)
        token_bl = np.zeros((_bucket(len(tokens), _BATCH_BUCKETS), width), np.int32)
        token_mask_bl = np.zeros(token_bl.shape, bool)
        for row, ids in enumerate(tokens):
            token_bl[row, : len(ids)] = ids
            token_mask_bl[row, : len(ids)] = True
        return np.asarray(embed_tokens(self._settings, self._params, token_bl, token_mask_bl))[: len(tokens)]


def _bucket(size: int, buckets: Sequence[int]) -> int:
    return next((bucket for bucket in buckets if size <= bucket), size)


def _checked_digest(path: Path, expected: str | None) -> str:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if expected is not None and digest != expected.lower():
        raise UserError(f"{path}: expected sha256 {expected}, got {digest}")
    return digest


def _read_settings(path: Path) -> Any:
    from lts_jax.models.minilm import MiniLMSettings

    config = read_json(path)
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a JSON object")
    for name, value in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(name, value) != value:
            raise UserError(f"{path}: expected {name} {value!r}, got {config[name]!r}")
    missing = [field.name for field in fields(MiniLMSettings) if field.name not in config]
    if missing:
        raise UserError(f"{path}: no field {missing[0]}")
    return MiniLMSettings(**{field.name: config[field.name] for field in fields(MiniLMSettings)})


def _read_params(path: Path, settings: Any) -> Any:
    from lts_jax.models.minilm import params_from_tensors
    from lts_jax.models.weights_files import open_tensors

    with open_tensors({path: None}, extra="minilm") as tensors:
        read = {name: source.file.get_tensor(name) for name, source in tensors.items()}
    try:
        return params_from_tensors(settings, read)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
