"""`lts parts`: everything that is named by a call, by kind: name, one line, paper, settings with their defaults."""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tyro

from lts_jax.errors import UserError, show
from lts_jax.parts import Setting, settings_of

WIDTH = 118  # columns


@dataclass(frozen=True, slots=True)
class Command:
    """List the parts that can be named by a call, such as `--credit "time_discounted_usage(decay_seconds=120)"`.

    A part of your own is named by its file, as `--credit mine.py:paid(price=0.2)`, or by its module.
    """

    what: tyro.conf.Positional[str] = ""
    """A kind (objective, credit, policies, reading, controller, encoder, environment, weaknesses, scorer) or a part."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Parts of one kind."""

    title: str
    flag: str  # that names one
    known: Mapping[str, Callable[..., Any]]
    supplied: tuple[str, ...] = ()


def kinds() -> dict[str, Kind]:
    """Every kind of part, by the word of its flag."""
    from lts_jax.admission.rules import RULES
    from lts_jax.credit.schemes import SCHEMES
    from lts_jax.environments.known import ENVIRONMENTS
    from lts_jax.learning.objective_parts import OBJECTIVES
    from lts_jax.llm.simulated import WEAKNESSES
    from lts_jax.memory.encoder_parts import ENCODERS
    from lts_jax.memory.readers import READERS
    from lts_jax.memory.readers import SUPPLIED as SUPPLIED_TO_READERS
    from lts_jax.models.networks import NETWORKS, SUPPLIED
    from lts_jax.tasks.scoring import SCORERS

    return {
        "objective": Kind("Objectives", "--objective", OBJECTIVES),
        "credit": Kind("Credit schemes", "--credit", SCHEMES),
        "policies": Kind("Admission rules", "--policies", RULES, ("encoder",)),
        "reading": Kind("Readers of shared values", "--reading", READERS, SUPPLIED_TO_READERS),
        "controller": Kind("Controller networks", "--controller", NETWORKS, SUPPLIED),
        "encoder": Kind("Text encoders", "--encoder", ENCODERS),
        "environment": Kind(
            "Environments in arrays", "lts sweep --environment", ENVIRONMENTS, ("process", "shape", "params")
        ),
        "weaknesses": Kind("Weaknesses of the simulated model", "--model.weaknesses", WEAKNESSES),
        "scorer": Kind("Scorers of own tasks", "--tasks.scorer", SCORERS, ("strict",)),
    }


def run(command: Command) -> None:
    """Print all kinds, one of them, or one part with the meaning of its settings."""
    found = kinds()
    if command.what in found:
        print(kind_text(found[command.what]))
        return
    owners = [kind for kind in found.values() if command.what in kind.known]
    if command.what and not owners:
        raise UserError(f"what: expected {', '.join(found)} or the name of a part, got {show(command.what)}")
    texts = [part_text(command.what, kind) for kind in owners] or [kind_text(kind) for kind in found.values()]
    print("\n\n".join(texts))


def kind_text(kind: Kind) -> str:
    """Parts of a kind, two or three lines each."""
    lines = [f"{kind.title} ({kind.flag})"]
    indent = " " * (max(map(len, kind.known)) + 4)
    for name, function in kind.known.items():
        head = f"  {name}".ljust(len(indent)) + _first_sentence(function) + _paper(function)
        settings = ", ".join(f"{one.name}={_default(one)}" for one in settings_of(function, kind.supplied))
        lines += textwrap.wrap(head, WIDTH, subsequent_indent=indent)
        lines += textwrap.wrap(settings, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def part_text(name: str, kind: Kind) -> str:
    """One part: its whole docstring before the arguments, and the meaning of each setting."""
    function = kind.known[name]
    lines = [f"{kind.flag} {name}", ""]
    lines += [(inspect.getdoc(function) or "").partition("\nArgs:")[0].strip(), ""]
    settings = settings_of(function, kind.supplied)
    width = max((len(f"{one.name}={_default(one)}") for one in settings), default=0)
    lines += [f"  {f'{one.name}={_default(one)}':<{width}}  {one.meaning}".rstrip() for one in settings]
    return "\n".join(lines).rstrip()


def _first_sentence(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())


def _paper(function: Callable[..., Any]) -> str:
    """The paper, where the first sentence does not name it."""
    found = re.search(r"arXiv \d{4}\.\d{4,5}", inspect.getdoc(function) or "")
    return f" ({found[0]})" if found and found[0] not in _first_sentence(function) else ""


def _default(setting: Setting) -> str:
    value = setting.default
    if value is inspect.Parameter.empty:
        return "..."
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
