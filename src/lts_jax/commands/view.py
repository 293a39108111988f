"""`lts view`: look into every rollout of a run in a browser, training and evaluation, with whole texts and credit."""

import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.evaluation.tables import TRAINING, read_credit, stored_lines
from lts_jax.records import Rollout
from lts_jax.reports.rollout_details import Place
from lts_jax.reports.view_server import view_server


@dataclass(frozen=True, slots=True)
class Command:
    """Look into the rollouts of a run: a list with filters, timelines, whole texts, probability and credit."""

    run: Path = Path("runs/lts")
    """Folder of a run."""
    port: int = 0
    """Of this machine to listen on; 0 takes a free one."""
    open: bool = False
    """Whether to open it in the browser."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise UserError(f"port: expected from 0 to 65535, got {self.port}")


def run(command: Command) -> None:
    """Serve until interrupted."""
    rollouts: dict[str, list[Rollout]] = {}
    for line, group in stored_lines(command.run):
        rollouts.setdefault(line, []).extend(group.rollouts)
    paid: dict[tuple[int, str, int], dict[Place, float]] = {}
    for (iteration, task, number, team, step), credit in read_credit(command.run / "credit").items():
        paid.setdefault((iteration, task, number), {})[team, step] = credit

    def credits(line: str, rollout: Rollout) -> Mapping[Place, float]:
        place = rollout.coordinates
        return paid.get((place.iteration, place.task, place.rollout), {}) if line == TRAINING else {}

    server = view_server(command.run.resolve().name, rollouts, port=command.port, credits=credits)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    print(f"{sum(map(len, rollouts.values()))} rollouts at {address} (stop with Ctrl-C)", flush=True)
    if command.open:
        webbrowser.open(address)
    with server:
        server.serve_forever()
