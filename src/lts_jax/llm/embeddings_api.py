"""The OpenAI embeddings format, seen from the server: a request body to texts, vectors to a body."""

import base64
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lts_jax.llm.chat_api import BadRequest

MAX_TEXTS = 2048  # of one request, as OpenAI has it


class TextEncoder(Protocol):
    """What makes vectors of texts."""

    @property
    def name(self) -> str:
        """Name, as clients are told."""
        ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """f32[n, D]."""
        ...


def read_texts(body: bytes) -> tuple[list[str], bool]:
    """The texts in a request body, and whether vectors are wanted in base64 (else as lists of numbers).

    Raises:
        BadRequest: not JSON, or no texts.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    texts = asked.get("input") if isinstance(asked, dict) else None
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest("input: expected a text or a list of texts")
    if len(texts) > MAX_TEXTS:
        raise BadRequest(f"input: expected at most {MAX_TEXTS} texts, got {len(texts)}")
    kind = asked.get("encoding_format", "float")
    if kind not in ("float", "base64"):
        raise BadRequest("encoding_format: expected float or base64")
    return texts, kind == "base64"


def embeddings_body(vectors: np.ndarray, name: str, num_tokens: int, *, in_base64: bool) -> bytes:
    """Body of the response. `num_tokens` of all texts is an estimate where the encoder counts none."""
    rows = np.ascontiguousarray(vectors, "<f4")
    shown = [base64.b64encode(row.tobytes()).decode() if in_base64 else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": place, "embedding": one} for place, one in enumerate(shown)]
    usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
    return json.dumps({"object": "list", "data": data, "model": name, "usage": usage}).encode()
