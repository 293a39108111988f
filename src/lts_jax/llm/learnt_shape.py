"""What one endpoint is known to take: the shape that requests begin with, learnt from what it refused and answered."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lts_jax.llm.chat import FailureKind
from lts_jax.llm.openai_settings import OpenAIChatSettings
from lts_jax.llm.request_shape import PARTS, RequestShape, both, first_shape, parts_of, without_refused
from lts_jax.llm.transport import Problem

_REFUSALS = frozenset({400, 404, 405, 409, 413, 415, 422, 501})  # statuses that may mean a part of a request
_UNNAMED = frozenset({400, 422})  # of which those that may mean it without a word
_NUM_FAILED = 2  # server errors in one call after which the JSON mode may be the cause
_NUM_DOUBTED = 2
_OTHERWISE = frozenset({FailureKind.KEY_REFUSED, FailureKind.QUOTA, FailureKind.HELD_BACK})


class LearntShape:
    """One object per endpoint. The event loop's single thread is its lock."""

    def __init__(self, settings: OpenAIChatSettings) -> None:
        """Nothing is known yet: requests hold all that the settings ask for."""
        self.shape = first_shape(settings)
        self._proven: frozenset[str] = frozenset()  # names of `PARTS`
        self._num_doubted = 0

    def after(
        self, shape: RequestShape, body: Mapping[str, Any], problem: Problem, num_failures: int
    ) -> RequestShape | None:
        """The shape to try next after `body` of this shape was refused; None if the problem is none of its parts.

        `num_failures` counts the failures of this call so far that were none of a refused part.
        """
        if problem.kind in _OTHERWISE:
            return None
        if problem.status in _REFUSALS:
            proven = self._proven if problem.status in _UNNAMED else frozenset(PARTS)
            return without_refused(shape, problem.text, body, proven)
        has_json = "json_mode" in parts_of(body) and "json_mode" not in self._proven
        if problem.status >= 500 and has_json and num_failures + 1 >= _NUM_FAILED:
            return PARTS["json_mode"].without(shape)
        return None

    def worked(self, shape: RequestShape, body: Mapping[str, Any], *, doubted: bool = False) -> None:
        """Keep what worked: what one call was refused stays left out for all.

        `doubted`: the JSON mode was left out after server errors, which may have passed by themselves. That is kept
        when it has happened in two calls.
        """
        self._proven |= parts_of(body, but=self._proven)
        if shape == self.shape:
            return
        self._num_doubted += doubted
        if doubted and self._num_doubted < _NUM_DOUBTED:
            shape = replace(shape, json_modes=self.shape.json_modes)
        self.shape = both(shape, self.shape)
