"""The sides that a sweep may run on: simulated teams, a desk or a grid in one program, or teams that write text."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.sweeps.fields import SweepField, sweep_fields
from lts_jax.sweeps.plan import SweepPlan
from lts_jax.sweeps.run import Runner


@dataclass(frozen=True, slots=True)
class Side:
    """One side. Its functions import what they need when they are called."""

    default_settings: Callable[[], Any]
    make_runner: Callable[[Path, SweepPlan], Runner]  # for a sweep in this folder
    check_point: Callable[[Any], None]  # raises UserError for settings that make no sense; called for every point
    check_cell: Callable[[Any], None]  # raises UserError for settings that could not be run, before anything is written
    pairs_per_program: int  # (point, seed) pairs at once, unless told otherwise; 8 to 100 MB each on the simulator
    lacks: Callable[[str], str]  # why it has no field of this name, "" if there is nothing to say


def side(name: str) -> Side:
    """A side by name.

    Raises:
        UserError: unknown.
    """
    if name not in SIDES:
        raise UserError(f"side: expected one of {', '.join(SIDES)}, got {name!r}")
    return SIDES[name]


def _simulator_settings() -> Any:
    from lts_jax.lab.settings import LabSettings

    return LabSettings()


def _simulator_runner(folder: Path, plan: SweepPlan) -> Runner:
    """All schemes of the sweep are known to each of its programs: those that need the same share one."""
    from functools import partial

    from lts_jax.lab.lab import measure_points

    return partial(
        measure_points, beside=tuple(dict.fromkeys(str(one["credit"]) for one in plan.points if "credit" in one))
    )


def _desk_settings() -> Any:
    from dataclasses import replace

    from lts_jax.systems.agemem import agemem
    from lts_jax.systems.study import lab_settings
    from lts_jax.systems.study_settings import StudySettings

    return replace(lab_settings(agemem(), StudySettings()), num_evaluation_tasks=200, is_strict=False)


def _grid_settings() -> Any:
    from lts_jax.lab.grid_sweep import GridSweepSettings

    return GridSweepSettings()


def _grid_runner(folder: Path, plan: SweepPlan) -> Runner:
    from lts_jax.lab.grid_sweep import measure_grid

    return measure_grid


def _text_settings() -> Any:
    from lts_jax.sweeps.text import TextSettings

    return TextSettings()


def _text_runner(folder: Path, plan: SweepPlan) -> Runner:
    from lts_jax.sweeps.text import text_runner

    return text_runner(folder)


def _check_text(settings: Any) -> None:
    from lts_jax.systems.run_parts import make_parts

    make_parts(settings.train).check()


def _check_numbers(settings: Any) -> None:
    from lts_jax.lab.settings import at_point

    at_point(settings, {})


def _nothing(settings: Any) -> None:
    """The records of the text side, and of the grid, check themselves."""


def _check_simulator(settings: Any) -> None:
    from lts_jax.lab.lab import plan_of

    if not settings.num_evaluation_tasks:
        raise UserError("num_evaluation_tasks: expected at least 1 in a sweep, which measures, got 0")
    plan_of(settings)  # tries the scheme, and refuses one that breaks its contract


TEXT_ONLY = {
    "model": "there is no language model in it",
    "encoder": "its vectors are drawn, no text is encoded",
    "controller": "its controller is the field network",
    "rollout": "its teams exchange no messages",
    "validation": "it evaluates inside its own program",
}
"""Why the simulator lacks a part of the text side's settings."""

COUNTERPARTS = {
    "rollout.num_teams": "shape.num_teams",
    "rollout.team.max_rounds": "world.step_limit",
    "rollout.parallel.deadline_seconds": "world.deadline_seconds",
}
"""Fields of the simulator that mean what a field of the text side means."""


def _simulator_lacks(name: str) -> str:
    if name not in _known_fields(_text_settings):
        return ""
    counterpart = COUNTERPARTS.get(name, "")
    instead = f"use {counterpart}" if counterpart in _known_fields(_simulator_settings) else "sweep it with --side text"
    why = TEXT_ONLY.get(name.partition(".")[0], "its tasks are drawn anew, not taken from a list")
    return f"{name}: a field of the text side only; the simulator has none, as {why} ({instead})"


def _text_lacks(name: str) -> str:
    if name not in _known_fields(_simulator_settings):
        return ""
    return f"{name}: a field of the simulator only (sweep it with --side simulator)"


def _grid_lacks(name: str) -> str:
    elsewhere = [
        side
        for side, make in (("simulator", _simulator_settings), ("text", _text_settings))
        if name in _known_fields(make)
    ]
    return f"{name}: the grid has no such field (sweep it with --side {elsewhere[0]})" if elsewhere else ""


def _known_fields(make_settings: Callable[[], Any]) -> dict[str, SweepField]:
    return sweep_fields(make_settings())


SIDES = {
    "simulator": Side(_simulator_settings, _simulator_runner, _check_numbers, _check_simulator, 64, _simulator_lacks),
    "desk": Side(_desk_settings, _simulator_runner, _check_numbers, _check_simulator, 8, _simulator_lacks),
    "grid": Side(_grid_settings, _grid_runner, _nothing, _nothing, 8, _grid_lacks),
    "text": Side(_text_settings, _text_runner, _nothing, _check_text, 1, _text_lacks),
}
"""The sides by the name that the command line uses."""
