"""Environments by name, and how one of your own becomes one of them."""

from collections.abc import Callable
from functools import lru_cache

from lts_jax.environments.check import check_environment
from lts_jax.environments.contract import Environment
from lts_jax.environments.desk.environment import desk
from lts_jax.environments.grid.environment import bottleneck_world
from lts_jax.environments.outside import jaxmarl_world, jumanji_world
from lts_jax.environments.pipeline.environment import pipeline
from lts_jax.environments.teams.environment import teams
from lts_jax.errors import UserError, describe, show
from lts_jax.parts import resolve

ENVIRONMENTS: dict[str, Callable[..., Environment]] = {
    "teams": teams,
    "desk": desk,
    "pipeline": pipeline,
    "bottleneck": bottleneck_world,  # of single steps, as the next two
    "jaxmarl": jaxmarl_world,
    "jumanji": jumanji_world,
}
"""Functions that make an environment, by the name that settings use."""


def environment_of(environment: str | Environment, *, where: str = "environment") -> Environment:
    """The environment that a text such as `mine.py:desk(size=4)` names, or the one that is given; checked.

    Raises:
        UserError: one line that begins with `where`: no such part, a function that raises or gives something else, or
            what in it breaks the contract (`environments.check`).
    """
    if isinstance(environment, str):
        return _made(environment, where)
    if not isinstance(environment, Environment):
        raise UserError(f"{where}: expected a text or an Environment, got {show(environment)}")
    check_environment(environment, where=where)
    return environment


@lru_cache(maxsize=16)
def _made(text: str, where: str) -> Environment:
    part = resolve(text, ENVIRONMENTS, where=where, supplied=("process",))
    try:
        made = part()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{where}: {part.text}: making it raises {describe(error)}") from error
    if not isinstance(made, Environment):
        raise UserError(f"{where}: {part.text} gives a value of type {type(made).__name__}, expected an Environment")
    if part.function not in ENVIRONMENTS.values():
        check_environment(made, where=where)
    return made
