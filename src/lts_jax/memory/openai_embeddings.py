"""Vectors from an OpenAI-compatible embeddings endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from lts_jax.errors import UserError
from lts_jax.llm.chat import ModelFailure
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
            UserError: a size below 1, or no API key anywhere.
        """
        asked = requests or RequestSettings()
        batch_size, max_characters = asked.batch_size, asked.max_characters
        if min(dim, batch_size, max_characters) < 1:
            raise UserError(
                f"dim, batch_size, max_characters: expected at least 1, got {dim, batch_size, max_characters}"
            )
        import openai

        try:
            self._client = openai.OpenAI(
                base_url=base_url,
                api_key=api_key,
                timeout=asked.timeout_seconds,
                max_retries=asked.max_retries,
                http_client=http_client or openai.DefaultHttpxClient(follow_redirects=False),
            )
        except openai.OpenAIError as error:
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
        found = sorted(reply.data or (), key=lambda item: item.index)
        if [item.index for item in found] != list(range(len(texts))):
            raise ModelFailure(f"embeddings of {self._model}: sent {len(texts)} texts, got {len(found)} vectors")
        widths = {len(item.embedding) for item in found}
        if widths != {self._dim}:
            raise ModelFailure(f"embeddings of {self._model}: expected width {self._dim}, got {widths}: set dim")
        rows = np.array([item.embedding for item in found], np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ModelFailure(f"embeddings of {self._model}: got numbers that are not finite")
        return (rows / np.maximum(norms, 1e-12)).astype(np.float32)
