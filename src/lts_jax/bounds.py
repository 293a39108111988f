"""The largest value of every setting that is a number: what is beyond it is a slip, and would run without end.

Records check what belongs to their own meaning; this table is about sizes alone, and is asked before anything is
written. Settings that are named nowhere here follow the endings of their names.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from lts_jax.errors import UserError, show

MOST: Mapping[str, float] = {
    "num_teams": 64,
    "quorum": 64,
    "max_rounds": 1_000,
    "max_told_rounds": 1_000,
    "max_stalls": 1_000,
    "max_replans": 1_000,
    "max_ledger_attempts": 100,
    "num_in_flight": 4_096,
    "max_in_flight": 4_096,
    "max_calls_per_second": 1_000_000,
    "num_rollouts": 10_000,
    "num_rerollouts": 10_000,
    "num_permutations": 10_000,
    "num_seeds": 10_000,
    "seeds": 10_000,
    "num_tasks": 100_000,
    "num_epochs": 100_000,
    "num_points": 100_000,
    "tasks_per_update": 10_000,
    "tasks_per_pass": 10_000,
    "population": 100_000,
    "generations": 100_000,
    "max_retries": 100,
    "max_redirects": 100,
    "max_tabs": 100,
    "num_processes": 4_096,
    "num_at_once": 4_096,
    "num_layers": 256,
    "num_heads": 1_024,
    "width": 16_384,
    "embedding_width": 16_384,
    "dim": 16_384,
    "hidden": 16_384,
    "rank": 16_384,
    "key_window": 65_536,
    "port": 65_535,
    "serve": 65_535,
    "characters_per_token": 1_000,
    "max_pulled_per_step": 10_000,
    "max_words": 10_000,
}
"""By the name of the setting, wherever it stands."""

_BY_ENDING = {
    "seconds": 1e7,  # 116 days
    "sigma": 10.0,  # of a logarithm
    "characters": 1e9,
    "bytes": 2.0**50,
    "max_tokens": 1e15,  # a budget
    "tokens": 1e9,
    "seed": 2.0**63,
}
_MOST_COUNTED = 1e6  # of any other num_x or max_x
_MOST_WHOLE = 2.0**63
_MOST_REAL = 1e12


def check_bounds(settings: Any, where: str = "") -> None:
    """See that no number in a record of settings, at any depth, is beyond its bound or is not finite.

    Raises:
        UserError: one line that names the first such setting.
    """
    for item in fields(settings):
        value = getattr(settings, item.name, None)
        place = f"{where}.{item.name}" if where else item.name
        if is_dataclass(value) and not isinstance(value, type):
            check_bounds(value, place)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            check_bound(item.name, value, place)


def check_bound(name: str, value: float, where: str, *, listed_only: bool = False) -> None:
    """See that one number is within the bound of its name; `listed_only` for names that others have chosen.

    Raises:
        UserError: it is not; the line begins with `where`.
    """
    most = MOST.get(name, math.inf if listed_only else _most_of(name, value))
    if not (listed_only or math.isfinite(value)):
        raise UserError(f"{where}: expected a finite number, got {show(value)}")
    if abs(value) > most:
        raise UserError(f"{where}: expected at most {most:,.0f}, got {show(value)}")


def _most_of(name: str, value: float) -> float:
    found = next((most for ending, most in _BY_ENDING.items() if name.endswith(ending)), None)
    if found is not None:
        return found
    if name.startswith(("num_", "max_")):
        return _MOST_COUNTED if isinstance(value, int) else _MOST_REAL
    return _MOST_WHOLE if isinstance(value, int) else _MOST_REAL
