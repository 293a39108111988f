"""Vectors from an OpenAI-compatible embeddings endpoint."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from lts_jax.errors import UserError
from lts_jax.llm.chat import ModelFailure
from lts_jax.llm.openai_settings import OPENAI_URL
from lts_jax.llm.proxy_and_certificates import check_environment
from lts_jax.memory.text import one_line


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How an embeddings endpoint is asked."""

    batch_size: int = 128  # texts in one request
    max_characters: int = 8000  # longer texts are cut
    timeout_seconds: float = 60.0
    max_retries: int = 4


class OpenAIEncoder:
    """Encoder behind an embeddings endpoint. Wrap it in a `CachedEncoder`: every call costs time and perhaps money.

    Calls block; retries on rate limits, server errors and time-outs are the client's.
    """

    def __init__(
        self,
        model: str,
        dim: int,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        requests: RequestSettings | None = None,
        http_client: Any = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        `dim` is the width that the model answers with. `base_url` and `api_key` default to OPENAI_BASE_URL and
        OPENAI_API_KEY of the environment. `http_client` (an `httpx2.Client`) replaces the one made here, which follows
        no redirects: texts and key go to `base_url` alone.

        Raises:
            UserError: a size below 1, no API key anywhere, or a proxy or certificates of the environment that cannot be
                used.
        """
        asked = requests or RequestSettings()
        batch_size, max_characters = asked.batch_size, asked.max_characters
        if min(dim, batch_size, max_characters) < 1:
            raise UserError(
                f"dim, batch_size, max_characters: expected at least 1, got {dim, batch_size, max_characters}"
            )
        import openai

        if http_client is None:
            check_environment(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        try:
            self._client = openai.OpenAI(
                base_url=base_url,
                api_key=api_key,
                timeout=asked.timeout_seconds,
                max_retries=asked.max_retries,
                http_client=http_client or openai.DefaultHttpxClient(follow_redirects=False),
            )
        except (openai.OpenAIError, ImportError, OSError, ValueError) as error:  # the last three: of the environment
            raise UserError(f"embeddings endpoint: {one_line(str(error))}") from None
        self._failure = openai.OpenAIError
        self._model = model
        self._dim = dim
        self._batch_size = batch_size
        self._max_characters = max_characters
        settings = repr((str(self._client.base_url), model, dim, max_characters))
        self._name = f"openai-{model}-{dim}-{blake2b(settings.encode(), digest_size=4).hexdigest()}"

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return self._dim

    @property
    def name(self) -> str:
        """Name of the model with a digest of endpoint and settings; the endpoint's weights cannot be checked."""
        return self._name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode n texts as float32[n, D], rows of unit L2 norm; blank texts are not sent and give zeros.

        Raises:
            ModelFailure: the endpoint failed after retries, or answered something else than n vectors of width D.
        """
        vectors = np.zeros((len(texts), self._dim), np.float32)
        places = [place for place, text in enumerate(texts) if text.strip()]
        for start in range(0, len(places), self._batch_size):
            batch = places[start : start + self._batch_size]
            vectors[batch] = self._request([texts[place][: self._max_characters] for place in batch])
        return vectors

    def _request(self, texts: list[str]) -> np.ndarray:
        try:
            reply = self._client.embeddings.create(model=self._model, input=texts, encoding_format="float")
        except self._failure as error:
            raise ModelFailure(f"embeddings of {self._model}: {one_line(str(error))}") from None
        found = _in_order(reply.data or ())
        if len(found) != len(texts):
            more = "batch_size may be more than the endpoint takes at once"
            raise ModelFailure(
                f"embeddings of {self._model}: sent {len(texts)} texts, got {len(found)} vectors; {more}"
            )
        vectors = [_vector(item) for item in found]
        if not all(vectors):
            raise ModelFailure(f"embeddings of {self._model}: got what is no vector of numbers")
        widths = {len(vector) for vector in vectors}
        if widths != {self._dim}:
            raise ModelFailure(f"embeddings of {self._model}: expected width {self._dim}, got {widths}: set dim")
        rows = np.array(vectors, np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ModelFailure(f"embeddings of {self._model}: got numbers that are not finite")
        return (rows / np.maximum(norms, 1e-12)).astype(np.float32)


def _in_order(items: Sequence[Any]) -> list[Any]:
    """The items by their index; as they came where none has one. Nothing where indices are not 0, 1, 2, ..."""
    indices = [getattr(item, "index", None) for item in items]
    if all(index is None for index in indices) or (len(indices) > 1 and set(indices) == {0}):
        return list(items)  # some servers write no index, or always the same
    if sorted(index for index in indices if isinstance(index, int)) != list(range(len(items))):
        return []
    return sorted(items, key=lambda item: item.index)


def _vector(item: Any) -> list[float]:
    """The numbers of an embedding: a list, a list in lists, or base64 of float32; nothing where they are none."""
    found = getattr(item, "embedding", None)
    if isinstance(found, str):
        try:
            return [float(value) for value in np.frombuffer(base64.b64decode(found, validate=True), "<f4")]
        except ValueError:
            return []
    while isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not isinstance(found, list) or not all(value is None or type(value) in (int, float) for value in found):
        return []
    return [np.nan if value is None else value for value in found]
