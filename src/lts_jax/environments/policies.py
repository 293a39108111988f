"""Admission policies for any environment: a constant, what is new, and a network; and how a logit becomes an action."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import ASK, Acting, Controller, Observation, Policy
from lts_jax.errors import UserError
from lts_jax.models.policy_network import PolicyNetwork

SURE = 1e9  # a logit that no temperature makes doubtful


Sure = tuple[Array, Array]
"""Logits f32[A] and pointers f32[J] of a policy that is sure of what it does."""


def constant(logit: Array, seen: Observation) -> Array:
    """Every step with the same logit, which is the policy's only parameter."""
    return jnp.stack([jnp.zeros_like(logit), logit])


@lru_cache(maxsize=64)
def blind(num_actions: int, num_targets: int) -> Policy:
    """Every legal action, and all that it may point at, with the same probability. One object for equal sizes."""

    def policy(params: Any, seen: Observation) -> tuple[Array, Array]:
        return jnp.zeros(num_actions), jnp.zeros(num_targets)

    return policy


def surely(shape: Any, action: Array | int, target: Array | int) -> Sure:
    """One action, pointing at one target if it points at anything, in a world of these sizes."""
    logit_a = jnp.where(jnp.arange(shape.num_actions) == action, SURE, 0.0)
    return logit_a, jnp.where(jnp.arange(shape.num_targets) == target, SURE, 0.0)


def at_rates(logit_ka: Array, seen: Observation) -> tuple[Array, Array]:
    """Actions with given odds, whatever is seen; all that one may point at with the same probability.

    The parameters are log-odds f32[K, A], one row for each team that has a policy of its own.
    """
    num_own = 0 if seen.alive_n is None else seen.alive_n.shape[0]
    team = jnp.zeros((), jnp.int32) if seen.team is None else seen.team
    return jnp.take(logit_ka, team, axis=0), jnp.zeros(num_own + seen.step_3d.shape[0])


def constant_logit(probability: float) -> Array:
    """The parameter of `constant` that admits with this probability at temperature 1."""
    if probability in {0.0, 1.0}:
        return jnp.asarray(SURE if probability else -SURE, jnp.float32)
    return jnp.asarray(jnp.log(probability) - jnp.log1p(-probability), jnp.float32)


def coin(probability: float) -> Controller:
    """A controller that admits every step with this probability, whatever it sees."""
    return Controller(constant, constant_logit(probability), Acting(1.0))


def novelty(threshold: Array, seen: Observation) -> Array:
    """Admit what is less similar than `threshold` to every key so far; keys and summaries are unit vectors."""
    is_key_n = jnp.arange(seen.key_nd.shape[0]) < seen.num_keys
    closest = jnp.max(jnp.where(is_key_n, seen.key_nd @ seen.step_3d[1], -1.0))
    return jnp.stack([jnp.zeros(()), jnp.where(closest < threshold, SURE, -SURE)])


@lru_cache(maxsize=64)
def of_network(network: PolicyNetwork) -> Policy:
    """A controller network as a policy; its parameters are the policy's. One network, one object."""

    if network.of_team is not None:
        members = [(name, of_network(one)) for name, one in network.of_team]

        def of_its_team(params: Any, seen: Observation) -> Any:
            if seen.team is None:
                raise UserError("policies: expected an environment that says which team decides, got one that does not")
            branches = [partial(_asked, policy, params[name]) for name, policy in members]
            return jax.lax.switch(seen.team, branches, replace(seen, latent=None))

        return of_its_team

    if network.decision_targets is not None:
        points = network.decision_targets

        def pointing(params: Any, seen: Observation) -> tuple[Array, Array]:
            alive_n = jnp.ones(seen.key_nd.shape[0], bool) if seen.alive_n is None else seen.alive_n
            return points(params, seen.query_d, seen.key_nd, seen.num_keys, seen.step_3d, alive_n)

        return pointing

    def policy(params: Any, seen: Observation) -> Array:
        return network.decision_logits(params, seen.query_d, seen.key_nd, seen.num_keys, seen.step_3d)

    return policy


def _asked(policy: Policy, params: Any, seen: Observation) -> Any:
    return policy(params, seen)


def choose_action(logit: Array, draw: Array, acting: Acting, forced: Array | int = ASK) -> tuple[Array, Array]:
    """What is done at one decision.

    Args:
        logit: f32[] of admitting less that of rejecting, over the temperature.
        draw: f32[] uniform in (0, 1).
        acting: whether the draw counts.
        forced: the action that a script prescribes, or ASK.

    Returns:
        i32[] the action, and f32[] its log-probability under the sampling policy, which a forced action keeps.
    """
    bound = jnp.log1p(-acting.min_probability) - jnp.log(acting.min_probability)  # infinite at 0
    logit = jnp.where(acting.is_greedy, logit, jnp.clip(logit, -bound, bound))
    admits = jnp.where(acting.is_greedy, logit > 0.0, draw < jax.nn.sigmoid(logit))
    action = jnp.where(forced == ASK, admits, forced == 1).astype(jnp.int32)
    return action, jax.nn.log_sigmoid(jnp.where(action == 1, logit, -logit))
