"""From the name of a reader, a function or a policy to the policy that chooses, tried before it is used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import Any

import numpy as np

from lts_jax.errors import UserError, show
from lts_jax.llm.chat import Ask
from lts_jax.llm.trying import try_out
from lts_jax.memory.hybrid import HybridReader
from lts_jax.memory.readers import READERS, SUPPLIED, ChoosingReader, ScoringReader
from lts_jax.memory.reading_policy import ReadableEntry, Reading, ReadingPolicy, ReadingRequest
from lts_jax.parts import Part, function_part, parameters_of, resolve
from lts_jax.records import Coordinates, Origin, Trust

Reader = str | ReadingPolicy | Callable[..., Any]
"""A text such as `cosine(top=2)`; a policy; a function of a request, or one that returns a policy."""


@dataclass(frozen=True, slots=True)
class FunctionReader:
    """A reader that is a function of a request."""

    name: str
    chooses: Callable[[ReadingRequest], Any]

    async def choose(self, request: ReadingRequest, ask: Ask) -> Reading:
        """What the function gives.

        Raises:
            UserError: neither a reading nor a list of entries.
        """
        started = perf_counter()
        answer = self.chooses(request)
        answer = await answer if isawaitable(answer) else answer
        if isinstance(answer, Reading):
            return answer
        if not isinstance(answer, (list, tuple, np.ndarray)):
            raise UserError(f"{self.name}: expected a list of entries, or a Reading; got {show(answer)}")
        entries = tuple(int(entry) if isinstance(entry, (int, np.integer)) else entry for entry in answer)
        return Reading(entries, seconds=perf_counter() - started)


def reader_part(reader: str | Callable[..., Any], *, where: str = "reading") -> Part:
    """The part that a text names, or a function of your own as a part.

    Raises:
        UserError: one line that begins with `where`; see `lts_jax.parts.resolve`.
    """
    if not isinstance(reader, str):
        return function_part(reader, where=where)
    return resolve(reader, READERS, where=where, supplied=SUPPLIED)


def make_reader(reader: Reader, supplied: Mapping[str, Any], *, where: str = "reading") -> ReadingPolicy | None:
    """The policy that a text, a function or a policy stands for, named by the canonical text; None for `select`.

    Args:
        reader: see `Reader`.
        supplied: what readers are given, by the names of `SUPPLIED`.
        where: the setting that holds it, for messages.

    Raises:
        UserError: one line: no such reader, a wrong setting, a function that gives no policy, or one that fails when
            it is tried.
    """
    if not isinstance(reader, str) and hasattr(reader, "choose") and not isinstance(reader, type):
        return reader  # type: ignore[return-value]
    part = reader_part(reader, where=where)
    takes = parameters_of(part.function)
    given = {name: supplied[name] for name in SUPPLIED if name in takes and name in supplied}
    free = [one for one in takes.values() if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    if [one.name for one in free if one.name not in SUPPLIED]:
        chosen = FunctionReader(part.text, partial(part, **given))
        try_out(chosen.choose, _SAMPLE, f"{where}: {part.text}")
        return chosen
    try:
        policy = part(**given)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if isinstance(policy, (ScoringReader, ChoosingReader)):
        return replace(policy, name=part.text)
    if isinstance(policy, HybridReader):
        return policy.named(part.text)
    if policy is not None and not hasattr(policy, "choose"):
        kind = type(policy).__name__
        raise UserError(f"{where}: {part.text} gives a value of type {kind}, expected a policy with `choose`")
    return policy


_SAMPLE = ReadingRequest(
    question="Which pond is the deepest?",
    instruction="Open page two.",
    role="orchestrator",
    stage="work",
    entries=(
        ReadableEntry(
            0, "The depth of Mill pond: 3 m.", "Mill pond is 3 m deep.", 6, 1, 0, 8.0, Origin.WEB, Trust.UNTRUSTED, 0
        ),
    ),
    budget_tokens=None,
    max_values=3,
    coordinates=Coordinates(0, 0, "sample", 0),
    team=0,
    step=1,
    seconds=20.0,
)
