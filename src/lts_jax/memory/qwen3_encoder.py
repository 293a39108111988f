"""The paper's text encoder: frozen Qwen3 embeddings from a local folder of weights. Nothing is downloaded."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from lts_jax.errors import UserError
from lts_jax.memory.by_length import encode_by_length

_BATCH_BUCKETS = (1, 8)  # texts of one compiled call


class Qwen3Encoder:
    """Vectors of unit length, one compiled function per pair of buckets (texts, tokens)."""

    def __init__(
        self,
        folder: Path | str,
        *,
        pooling: Literal["last", "mean"] = "last",
        max_tokens: int = 512,
        compute_dtype: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        """Load the encoder in `folder`: `config.json`, safetensors in one file or in shards, `tokenizer.json`.

        `pooling` takes the state of the last token, or the mean over tokens; `max_tokens` cuts longer texts. The paper
        gives neither; both are ours.

        Raises:
            UserError: a setting that cannot be, or whatever the files lack.
        """
        if pooling not in ("last", "mean"):
            raise UserError(f'Qwen3Encoder.pooling: expected "last" or "mean", got {pooling!r}')
        if max_tokens < 1:
            raise UserError(f"Qwen3Encoder.max_tokens: expected at least 1, got {max_tokens}")
        from lts_jax.models.qwen3 import settings_from_json
        from lts_jax.models.tokens import load_tokenizer
        from lts_jax.models.weights import digest, load_weights

        folder = Path(folder)
        self._settings = settings_from_json(folder, compute_dtype=compute_dtype)
        self._tokenizer = load_tokenizer(folder)
        if self._tokenizer.get_vocab_size() > self._settings.vocabulary_size:
            raise UserError(f"{folder}: tokenizer.json has more tokens than config.json's vocab_size")
        self._weights = load_weights(folder, self._settings)
        self._pooling = pooling
        self._max_tokens = max_tokens
        self._length_buckets = (*(size for size in (16, 64, 256, 1024, 4096) if size < max_tokens), max_tokens)
        tokens_digest = sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
        self._name = (
            f"qwen3-{self.dim}-{pooling}-{max_tokens}-{compute_dtype}-{digest(folder)[:12]}-{tokens_digest[:8]}"
        )

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._settings.width

    @property
    def name(self) -> str:
        """Name with pooling, truncation, arithmetic, and digests of weights and tokenizer."""
        return self._name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D], rows of unit L2 norm; blank texts give zeros."""
        return encode_by_length(texts, self.dim, self._tokenize, self._encode_batch, _BATCH_BUCKETS[-1])

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        found = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [one.ids[: self._max_tokens] for one in found]

    def _encode_batch(self, tokens: list[list[int]]) -> np.ndarray:
        from lts_jax.models.qwen3_embed import embed_tokens

        num_places = next(size for size in self._length_buckets if size >= max(map(len, tokens)))
        num_rows = next(size for size in _BATCH_BUCKETS if size >= len(tokens))
        token_bs, num_tokens_b = np.zeros((num_rows, num_places), np.int32), np.zeros(num_rows, np.int32)
        for row, ids in enumerate(tokens):
            token_bs[row, : len(ids)], num_tokens_b[row] = ids, len(ids)
        made = embed_tokens(self._settings, self._weights, token_bs, num_tokens_b, self._pooling)
        return np.asarray(made)[: len(tokens)]
