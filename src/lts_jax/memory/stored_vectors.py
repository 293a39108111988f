"""Vectors of texts that outlive the process: an expensive encoder reads each text once."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import numpy as np

from lts_jax.errors import UserError
from lts_jax.memory.encoders import Encoder

_CHUNK = 500  # keys of one query, below SQLite's limit of host parameters


class StoredEncoder:
    """Another encoder behind one SQLite file, found by a hash of the encoder's name and the text.

    The name holds digests of weights, tokenizer and settings, so one file may serve several encoders and never mixes
    them up. Several processes may use it at once; a killed one leaves whole rows. A vector
    has a digest behind it, and one that changed on the disk is made anew.
    """

    def __init__(self, inner: Encoder, path: Path | str) -> None:
        """Open or make the file.

        Raises:
            UserError: it cannot be opened, or is something else.
        """
        self._inner = inner
        self._path = Path(path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as database, database:
                database.execute("create table if not exists vectors (key blob primary key, vector blob) without rowid")
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{self._path}: expected a file of stored vectors ({error})") from None

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._inner.dim

    @property
    def name(self) -> str:
        """The inner encoder's name: storing changes no vector."""
        return self._inner.name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D]; those that are not stored go to the inner encoder in one call.

        Raises:
            UserError: the file cannot be read or written.
        """
        keys = [self._key(text) for text in texts]
        try:
            with closing(self._open()) as database:
                rows = self._look_up(database, list(dict.fromkeys(keys)))
                missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}
                if missing:
                    made = np.asarray(self._inner.encode([*missing.values()]), np.float32)
                    rows |= dict(zip(missing, made, strict=True))
                    with database:
                        database.executemany(
                            "insert or replace into vectors values (?, ?)",
                            [(key, _with_digest(key, rows[key].astype("<f4").tobytes())) for key in missing],
                        )
        except sqlite3.Error as error:
            raise UserError(f"{self._path}: stored vectors cannot be read or written ({error})") from None
        return np.stack([rows[key] for key in keys]) if keys else np.zeros((0, self.dim), np.float32)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60.0)

    def _key(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt(), digest_size=24).digest()

    def _salt(self) -> bytes:
        return blake2b(self._inner.name.encode(), digest_size=32).digest()

    def _look_up(self, database: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, np.ndarray]:
        found: dict[bytes, np.ndarray] = {}
        for first in range(0, len(keys), _CHUNK):
            some = keys[first : first + _CHUNK]
            places = ",".join("?" * len(some))
            query = f"select key, vector from vectors where key in ({places})"
            for key, vector in database.execute(query, some):
                numbers = vector[: 4 * self.dim] if isinstance(vector, bytes) else b""
                # One without a digest is of an earlier version. What is damaged is made anew.
                if len(numbers) == 4 * self.dim and vector in (numbers, _with_digest(key, numbers)):
                    found[key] = np.frombuffer(numbers, "<f4")
        return found


def _with_digest(key: bytes, vector: bytes) -> bytes:
    return vector + blake2b(vector, key=key, digest_size=8).digest()
