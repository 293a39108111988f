"""Training in a simulated environment as one call, for the front door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import scheme
from lts_jax.environments.contract import Environment
from lts_jax.errors import UserError
from lts_jax.lab.grid import grid_rows
from lts_jax.lab.lab import results_by_scheme
from lts_jax.lab.settings import LabSettings
from lts_jax.models.networks import Network
from lts_jax.models.policy_network import Params


@dataclass(frozen=True)
class Simulation:
    """What `simulate` came to. Axis S: schemes outermost, then points, then seeds, as the rows lie."""

    rows: tuple[dict[str, Any], ...]  # S of them: `credit`, the point's values, `seed`, then the measures
    curves: Mapping[str, np.ndarray]  # f32[S, I] over updates
    params: Params  # of the controllers, arrays [S, ...]


def simulate(
    credit: str | CreditFn | Sequence[str | CreditFn] | None = None,
    network: Network | None = None,
    environment: str | Environment | None = None,
    *,
    seeds: int | Sequence[int] = 20,
    points: Sequence[Mapping[str, float]] = ({},),
    settings: LabSettings | None = None,
) -> Simulation:
    """Train controllers in an environment of arrays and evaluate them, all in one compiled program.

    What is not given is as in `settings`.

    Args:
        credit: a scheme, or several to compare: a text such as `usage_aware(usage_weight=0.3)` or a function.
        network: a text such as `set_transformer(width=64)`, a `PolicyNetwork`, a Flax module, or a function.
        environment: a text such as `mine.py:desk`, or an `Environment`; with the sizes and numbers of its own.
        seeds: how many, or which. A seed draws the same tasks for every scheme and point.
        points: values of numbers: `[{"world.overlap": 0.2, "credit.usage_weight": 0.3}, ...]`.
        settings: everything else.

    Raises:
        UserError: in one line, a part that does not exist or breaks its contract, a number that cannot be meant.
    """
    settings = settings or LabSettings()
    if environment is not None:
        settings = replace(settings, environment=environment, shape=None, world=None)
    chosen = range(seeds) if isinstance(seeds, int) else tuple(seeds)
    if not chosen or not points:
        raise UserError("simulate: expected at least one seed and one point, got none")
    given = settings.credit if credit is None else credit
    several = [given] if isinstance(given, str) or callable(given) else list(given)
    schemes = {scheme(one).text: one for one in several}
    found = results_by_scheme(settings, schemes, points, chosen, network=network)
    joined = jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *found.values())
    rows = [{"credit": name, **row} for name, one in found.items() for row in grid_rows(points, chosen, one.measures)]
    return Simulation(tuple(rows), joined.curves, joined.params)
