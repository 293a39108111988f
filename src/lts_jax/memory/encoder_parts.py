"""Text encoders by name, and how an encoder of your own becomes one of them."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lts_jax.errors import UserError, describe, show
from lts_jax.memory.encoders import CachedEncoder, Encoder, HashingEncoder
from lts_jax.parts import Part, function_part, resolve


def hashing(*, width: int = 256, max_characters: int = 1000) -> Encoder:
    """Signed feature hashing of characters, words and word pairs (arXiv 0902.2206); needs no download.

    Args:
        width: D of the vectors.
        max_characters: of a text that are read.
    """
    _expect("hashing", width=width, max_characters=max_characters)
    return HashingEncoder(dim=width, max_characters=max_characters)


def minilm(*, folder: str, sha256: str | None = None) -> Encoder:
    """all-MiniLM-L6-v2 in JAX, D = 384 (arXiv 2002.10957).

    Args:
        folder: holds config.json, model.safetensors and tokenizer.json.
        sha256: digest that the weights must have; none accepts any.
    """
    from lts_jax.memory.minilm import MiniLMEncoder

    return MiniLMEncoder(Path(folder), expected_sha256=sha256)


def static(*, folder: str, max_characters: int = 4000, sha256: str | None = None) -> Encoder:
    """The mean of fixed vectors of a text's tokens, as WordLlama's (D = 256); no network is run.

    Args:
        folder: holds model.safetensors (one table) and tokenizer.json.
        max_characters: of a text that are read.
        sha256: digest that the table's file must have; none accepts any.
    """
    from lts_jax.memory.static_vectors import StaticEncoder

    _expect("static", max_characters=max_characters)
    return StaticEncoder(Path(folder), max_characters=max_characters, expected_sha256=sha256)


def qwen3(*, folder: str, pooling: Literal["last", "mean"] = "last", max_tokens: int = 512) -> Encoder:
    """Frozen Qwen3 in JAX, the paper's with 0.6B weights, D = 1024 (LTS, arXiv 2602.05965).

    Args:
        folder: holds config.json, safetensors and tokenizer.json.
        pooling: of the states; the paper does not say.
        max_tokens: of a text that are read; the paper does not say.
    """
    from lts_jax.memory.qwen3_encoder import Qwen3Encoder

    _expect("qwen3", max_tokens=max_tokens)
    return Qwen3Encoder(Path(folder), pooling=pooling, max_tokens=max_tokens)


def openai(
    *, model: str = "text-embedding-3-small", width: int = 256, base_url: str | None = None, batch_size: int = 128
) -> Encoder:
    """An OpenAI-compatible embeddings endpoint.

    Args:
        model: its name there.
        width: D of the vectors.
        base_url: of the endpoint; none is OpenAI's own.
        batch_size: texts in one request; some endpoints take 10 or 64 at most.
    """
    from lts_jax.memory.openai_embeddings import OpenAIEncoder, RequestSettings

    _expect("openai", width=width, batch_size=batch_size)
    return OpenAIEncoder(model, width, base_url, requests=RequestSettings(batch_size=batch_size))


ENCODERS: dict[str, Callable[..., Encoder]] = {
    "hashing": hashing, "static": static, "minilm": minilm, "qwen3": qwen3, "openai": openai,
}  # fmt: skip
"""Encoders by the name that the command line uses."""


def encoder_part(encoder: str | Callable[..., Any], *, where: str = "encoder") -> Part:
    """The part that a text names, or a function of your own as a part."""
    return resolve(encoder, ENCODERS, where=where) if isinstance(encoder, str) else function_part(encoder, where=where)


def make_encoder(
    encoder: str | Encoder | Callable[..., Any] = "hashing", store: str | None = None, *, where: str = "encoder"
) -> CachedEncoder:
    """The encoder that a text such as `hashing(width=512)` names, or one of your own; equal texts give the same object.

    Args:
        encoder: a text; an object with `dim`, `name` and `encode`; or a function that makes one.
        store: file that keeps vectors between runs, so that each text is encoded once.
        where: the setting that holds it, for messages.

    Raises:
        UserError: one line: no such encoder, what its files lack, vectors that are not f32[n, dim].
    """
    if isinstance(encoder, CachedEncoder) and store is None:
        return encoder
    if not isinstance(encoder, str) and hasattr(encoder, "encode") and not isinstance(encoder, type):
        return _try_encoder(encoder, store, where)
    return _make(encoder_part(encoder, where=where), store, where)


@lru_cache(maxsize=4)
def _make(part: Part, store: str | None, where: str) -> CachedEncoder:
    try:
        made = part()
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except Exception as error:
        raise UserError(f"{where}: {part.text}: making it raises {describe(error)}") from error
    return _try_encoder(made, store, where) if part.function not in ENCODERS.values() else _with_store(made, store)


def _try_encoder(made: Any, store: str | None, where: str) -> CachedEncoder:
    """An encoder of the user's own, tried on two texts."""
    name = getattr(made, "name", type(made).__name__)
    try:
        found = np.asarray(made.encode(["one", ""]))
        expected = (2, int(made.dim))
    except Exception as error:
        raise UserError(f"{where}: {show(name)}: trying it raises {describe(error)}") from error
    if found.shape != expected or not np.isfinite(found).all():
        raise UserError(f"{where}: {show(name)}: expected finite vectors of shape {expected}, got {found.shape}")
    return _with_store(made, store)


def _with_store(made: Any, store: str | None) -> CachedEncoder:
    if store is not None:
        from lts_jax.memory.stored_vectors import StoredEncoder

        made = StoredEncoder(made, store)
    return CachedEncoder(made)


def _expect(name: str, **at_least_one: int) -> None:
    for setting, value in at_least_one.items():
        if value < 1:
            raise UserError(f"{name}({setting}): expected at least 1, got {value}")
