"""Replies that must keep to a grammar: before each token, which ones may follow. By the library `llguidance`.

A grammar is a JSON schema, or a regular expression as text.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from lts_jax.errors import UserError

Grammar = Mapping[str, Any] | str


def need_masks() -> None:
    """See that the library is there, before weights are read.

    Raises:
        UserError: it is not.
    """
    if find_spec("llguidance") is None:
        raise UserError("replies in a grammar, as JSON, need the extra local: pip install 'lts-jax[local]'")


class TokenMasks:
    """Makes matchers for one tokenizer. It takes about a second to make."""

    def __init__(self, tokenizer: Any, end_ids: Sequence[int], vocabulary_size: int) -> None:
        """Of a `tokenizers.Tokenizer` and the tokens that end a reply.

        Raises:
            UserError: the extra `local` is missing.
        """
        need_masks()
        from llguidance import LLTokenizer

        self._tokenizer = LLTokenizer(tokenizer.to_str(), n_vocab=vocabulary_size, eos_token=list(end_ids))
        self._vocabulary_size = vocabulary_size

    def matcher(self, grammar: Grammar) -> "TokenMatcher":
        """A matcher at the beginning of a reply.

        Raises:
            ValueError: the grammar is none, or asks for what the library cannot do; one line.
        """
        from llguidance import LLMatcher

        if isinstance(grammar, str):
            made = LLMatcher.grammar_from_regex(grammar)
        else:
            options = {"x-guidance": {"whitespace_flexible": False}}  # a small model can write blanks for ever
            made = LLMatcher.grammar_from_json_schema(json.dumps({**grammar, **options}))
        matcher = LLMatcher(self._tokenizer, made, log_level=0)
        if matcher.is_error():
            kind = "regular expression" if isinstance(grammar, str) else "JSON schema"
            raise ValueError(f"the {kind} cannot be kept to: {' '.join(matcher.get_error().split())[:200]}")
        return TokenMatcher(matcher, self._vocabulary_size)


class TokenMatcher:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary_size: int) -> None:
        """By `JsonMasks.matcher`."""
        self._matcher = matcher
        self._vocabulary_size = vocabulary_size

    def mask(self, logit_v: np.ndarray) -> np.ndarray:
        """The logits f32[V] with minus infinity where no reply of the grammar goes on so."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: self._vocabulary_size].astype(bool)
        return np.where(allowed, logit_v[: self._vocabulary_size], -np.inf)

    def take(self, token: int) -> list[int]:
        """Go on by a token, and by those that the grammar then leaves no choice about: gives these."""
        if not self._matcher.consume_token(token):
            raise RuntimeError(f"the grammar refuses a token that its mask let pass: {self._matcher.get_error()}")
        if self._matcher.is_stopped():
            return []
        forced = list(self._matcher.compute_ff_tokens())
        if forced:
            self._matcher.consume_tokens(forced)
        return forced

    @property
    def is_done(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())
