"""The policy that sees the truth."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Observation
from lts_jax.environments.policies import SURE
from lts_jax.environments.teams.state import RIGHT


def only_right(_: Any, seen: Observation) -> Array:
    """Admit what holds a right value, of a needed fact or not, and nothing else."""
    return jnp.stack([jnp.zeros(()), jnp.where(seen.latent.variant == RIGHT, SURE, -SURE)])
