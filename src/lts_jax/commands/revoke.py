"""`lts revoke`: what agents of a run read and what it was paid, and a bad origin marked with all that it reached."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.errors import UserError
from lts_jax.rollouts.revoke import revoke_in_folder
from lts_jax.rollouts.store import read_rollouts, rollout_files


@dataclass(frozen=True, slots=True)
class Command:
    """Mark every stored rollout that an origin reached, so that training leaves it out. Without origins, list them.

    The list says how many memory entries each host or tool gave, how many of them another team used, and what the usage
    bonus paid for that: one that is paid often and helps nobody is bait. What a rollout says is never changed.
    """

    run: tyro.conf.Positional[Path]
    """Run folder, or another folder of rollouts."""
    origins: tyro.conf.Positional[tuple[str, ...]] = ()
    """Hosts (with all below them), URLs, files, tools or kinds (web, file), such as evil.example."""


def run(command: Command) -> None:
    """Mark, or list."""
    if command.origins:
        num_marked = revoke_in_folder(command.run, command.origins)
        print(f"{num_marked} rollouts in {command.run} are newly marked; training leaves them out")
        return
    from lts_jax.bridge.origins import bonus_by_origin

    if not command.run.is_dir():
        raise UserError(f"{command.run}: no such folder of rollouts")
    paths = rollout_files(command.run)
    found = bonus_by_origin((rollout for path in paths for rollout in read_rollouts(path)), by="host")
    print(f"{'entries':>8}{'used':>8}{'bonus':>10}  origin")
    for name, paid in sorted(found.items(), key=lambda item: -item[1].credit):
        print(f"{paid.num_entries:8}{paid.num_used:8}{paid.credit:10.1f}  {name}")
