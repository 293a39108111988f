"""Several policies in one rollout: each team decides with parameters of its own, and all of them learn together.

The whole is a `PolicyNetwork` like any other, with parameters {name: those of the member}: its packed logits are those
of each member on its own team's decisions, so the loss of a rollout is the sum of the members' losses on their own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.errors import UserError
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext


@dataclass(frozen=True, slots=True)
class Member:
    """Who decides for a team. Teams with one name share parameters."""

    name: str
    network: PolicyNetwork
    max_steps: int | None = None  # of its team, if that is fewer than the rollout's T: the rest is not computed
    learning_rate_scale: float = 1.0  # times `LearningSettings.learning_rate`, and the weight decay with it; 0 freezes


def several(members: Sequence[Member]) -> PolicyNetwork:
    """One network of them all; `members` has the one of team k at place k, so there are K.

    Raises:
        UserError: no member; one name for two networks or two learning rates; some with targets and some without.
    """
    chosen = tuple(members)
    rates: dict[str, float] = {}
    for member in chosen:
        if rates.setdefault(member.name, member.learning_rate_scale) != member.learning_rate_scale:
            raise UserError(f"policies: expected one learning_rate_scale for the name {member.name!r}, got two")
        if not 0.0 <= member.learning_rate_scale < math.inf:
            raise UserError(f"policies: learning_rate_scale: expected at least 0, got {member.learning_rate_scale}")
    by_name: dict[str, PolicyNetwork] = {}
    for member in chosen:
        if by_name.setdefault(member.name, member.network) is not member.network:
            raise UserError(f"policies: expected one network for the name {member.name!r}, got two")
    if not chosen:
        raise UserError("policies: expected one for every team, got none")
    networks = [member.network for member in chosen]
    has_targets = {one.packed_targets is not None for one in networks}
    if len(has_targets) > 1:
        raise UserError("policies: expected all of them with targets or none, got both")
    if len({one.num_actions for one in networks}) > 1:
        raise UserError("policies: expected all of them with the same number of actions")
    if any(one.frozen is not None or one.packed_values is not None for one in networks):
        raise UserError("policies: expected networks without a frozen base and without a value head")
    return PolicyNetwork(
        init=partial(_init, tuple(by_name.items())),
        decision_logits=_refuse,
        packed_logits=partial(_packed, chosen, lambda one: one.packed_logits),
        key_window=min(one.key_window for one in networks),
        name="+".join(dict.fromkeys(f"{member.name}:{member.network.name}" for member in chosen)),
        packed_targets=partial(_packed, chosen, lambda one: one.packed_targets) if True in has_targets else None,
        decision_targets=_refuse if True in has_targets else None,
        knows_lives=all(one.knows_lives for one in networks),
        num_actions=networks[0].num_actions,
        learning_rate_scales=None if set(rates.values()) == {1.0} else tuple(rates.items()),
        of_team=tuple((member.name, member.network) for member in chosen),
    )


def _init(by_name: tuple[tuple[str, PolicyNetwork], ...], prng_key: Array) -> Params:
    """Parameters by name, each from a key of its own."""
    keys = jax.random.split(prng_key, len(by_name))
    return {name: network.init(key) for (name, network), key in zip(by_name, keys, strict=True)}


def _packed(
    members: tuple[Member, ...],
    function_of: Callable[[PolicyNetwork], Any],
    params: Params,
    context: DecisionContext,
) -> Array:
    """Each member on its own team's decisions, side by side along K: f32[(B,) G, K, T, ...]; zeros where not computed.

    Raises:
        UserError: another number of teams than members.
    """
    num_teams, num_steps = context.num_keys_gkt.shape[-2:]
    if num_teams != len(members):
        raise UserError(f"policies: expected one for each of {num_teams} teams, got {len(members)}")
    found = []
    for team, member in enumerate(members):
        wanted = min(member.max_steps or num_steps, num_steps)
        own = function_of(member.network)(params[member.name], _of_team(context, team, wanted))
        found.append(jnp.pad(own, [(0, 0)] * (own.ndim - 2) + [(0, num_steps - wanted), (0, 0)]))
    return jnp.concatenate(found, axis=-3)


def _of_team(context: DecisionContext, team: int, num_steps: int) -> DecisionContext:
    """The first decisions of one team; K is one."""
    place = slice(team, team + 1)
    sequence = context.sequence_gkt
    return replace(
        context,
        num_keys_gkt=context.num_keys_gkt[..., place, :num_steps],
        step_gktsd=context.step_gktsd[..., place, :num_steps, :, :],
        sequence_gkt=None if sequence is None else sequence[..., place, :num_steps],
    )


def _refuse(*_: Any) -> Any:
    raise ValueError("several policies: a single decision is asked of the member of its team (`of_team`)")
