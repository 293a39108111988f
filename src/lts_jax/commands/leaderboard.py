"""`lts leaderboard add`: a credit scheme of your own beside all others, on the same tasks and seeds."""

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError

STUDY = Path("experiments/credit_leaderboard/add.py")


@dataclass(frozen=True, slots=True)
class Command:
    """Train a scheme as the leaderboard's were trained, in the simulator, and print its row among theirs.

    `lts leaderboard add mine.py:scheme` takes some minutes of a core; asked again it is told at once.
    """

    action: tyro.conf.Positional[Literal["add"]]
    """What to do."""
    scheme: tyro.conf.Positional[str]
    """The scheme, as mine.py:function or mine.py:function(price=0.2)."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Tiny runs on two of the seeds, to see that it works: no finding."""


def run(command: Command) -> None:
    """Run the study's own program.

    Raises:
        UserError: no such scheme, or no checkout: studies are not part of the installed package.
    """
    scheme(command.scheme)
    places = [Path.cwd(), *Path(__file__).resolve().parents]
    found = next((place / STUDY for place in places if (place / STUDY).exists()), None)
    if found is None:
        raise UserError(f"leaderboard: expected a checkout with {STUDY}; the installed package holds no studies")
    given, sys.argv = sys.argv, [str(found), command.scheme, *(["--quick"] if command.quick else [])]
    try:
        runpy.run_path(str(found), run_name="__main__")
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            raise UserError(stopped.code.removeprefix("add: ")) from None
        raise
    finally:
        sys.argv = given
