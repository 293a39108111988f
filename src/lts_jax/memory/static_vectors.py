"""Static vectors: a text is the mean of one fixed vector for each of its tokens. Nothing is computed but that mean.

A folder holds `model.safetensors` with one table f[V, D] and `tokenizer.json`, as `lts models get wordllama` makes it.
"""

from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np

from lts_jax.errors import UserError


class StaticEncoder:
    """x = m / |m|, m the mean over a text's tokens of their rows in a table."""

    def __init__(self, folder: Path | str, *, max_characters: int = 4000, expected_sha256: str | None = None) -> None:
        """Load the table in `folder`.

        `max_characters` cuts longer texts. `expected_sha256`, when given, must be the digest of `model.safetensors`.

        Raises:
            UserError: a file or an optional package is missing, the digest is another, or the file holds no one table
                with a row for each token.
        """
        from lts_jax.models.tokens import load_tokenizer

        folder = Path(folder)
        weights = folder / "model.safetensors"
        for path in (weights, folder / "tokenizer.json"):
            if not path.is_file():
                raise UserError(f"{path}: no such file; expected model.safetensors, tokenizer.json")
        with weights.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        if expected_sha256 is not None and digest != expected_sha256.lower():
            raise UserError(f"{weights}: expected sha256 {expected_sha256}, got {digest}")
        self._table_vd = _read_table(weights)
        self._tokenizer = load_tokenizer(folder, extra="minilm")
        if self._tokenizer.get_vocab_size() > len(self._table_vd):
            raise UserError(
                f"{folder}: expected a row for each of the {self._tokenizer.get_vocab_size()} tokens of "
                f"tokenizer.json, model.safetensors has {len(self._table_vd)}"
            )
        self._max_characters = max_characters
        tokenizer_digest = sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
        self._name = f"static-{self.dim}-{max_characters}-{digest[:12]}-{tokenizer_digest[:8]}"

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._table_vd.shape[1]

    @property
    def name(self) -> str:
        """Name with digests of table and tokenizer."""
        return self._name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D], rows of unit L2 norm; blank texts give zeros."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        cut = [text[: self._max_characters] for text in texts]
        for row, found in enumerate(self._tokenizer.encode_batch(cut, add_special_tokens=False)):
            if not found.ids or not cut[row].strip():
                continue
            mean_d = self._table_vd[found.ids].mean(axis=0, dtype=np.float64)
            vectors[row] = mean_d / (np.linalg.norm(mean_d) or 1.0)
        return vectors


def _read_table(path: Path) -> np.ndarray:
    """The one table of a file, f32[V, D]."""
    from lts_jax.models.weights_files import open_tensors

    with open_tensors({path: None}, extra="minilm") as tensors:
        if len(tensors) != 1:
            raise UserError(f"{path}: expected one table with a row for each token, found {len(tensors)} tensors")
        ((name, source),) = tensors.items()
        table = source.file.get_tensor(name)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise UserError(f"{path}: expected a table of finite numbers, one row a token, found shape {table.shape}")
    return np.asarray(table, np.float32)
