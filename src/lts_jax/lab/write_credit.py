"""Admission credit for the pool's writes: what agents write is paid by a scheme of `credit`, all else as PPO pays it.

G blocks of episodes that share a reset, so a map, first starts and goals and the hidden fact, are a group of rollouts
of one task. Agents are its teams, their steps are steps, to write is to admit, and an entry is used if another agent
read it. Return: reward of the block, of the mean agent. Each update begins all blocks anew and lives through whole
ones; what a block draws after its reset is its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import CreditFn
from lts_jax.environments.contract import Environment
from lts_jax.environments.randomness import place_words
from lts_jax.environments.stepping import begin_all, seeds_at
from lts_jax.lab.ppo_training import OwnCredit, PpoRun, live
from lts_jax.learning.part_credit import PartCredit, part_log_probs
from lts_jax.learning.ppo import PpoSettings, Steps, legal_log_probs
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.gated_memory import GATES
from lts_jax.models.policy_network import Params
from lts_jax.models.pulled_entries import NOBODYS
from lts_jax.trajectory import Trajectory

_RESET = 0x7FFFFFFB  # a purpose of its own, beside what a step draws

Pulled = Callable[[Params, Array, Array], Array]
"""(params, observations f32[T, I, E, O], begins bool[T, E]) -> i32[T, J, I, E], as `models.pulled_entries`."""


@dataclass(frozen=True)
class WriteCredit:
    """How writes are paid."""

    credit: CreditFn
    pulled: Pulled
    num_rollouts: int = 8  # G


@lru_cache(maxsize=8)
def write_credit(credit: CreditFn, pulled: Pulled, num_rollouts: int) -> OwnCredit:
    """What `PpoPlan.own_credit` takes; one object for equal arguments."""
    paid = WriteCredit(credit, pulled, num_rollouts)

    def lived(
        environment: Environment, network: ActorCritic, settings: PpoSettings, run: PpoRun
    ) -> tuple[PpoRun, Steps, dict[str, Array], PartCredit]:
        return _live_in_groups(paid, environment, network, settings, run)

    return lived


def _live_in_groups(
    paid: WriteCredit, environment: Environment, network: ActorCritic, settings: PpoSettings, run: PpoRun
) -> tuple[PpoRun, Steps, dict[str, Array], PartCredit]:
    num_episodes = settings.num_environments
    fresh = begun_in_groups(environment, network, run, paid.num_rollouts)
    params = run.learner.params
    after, steps, told = live(environment, network, settings, fresh)
    steps = only_first_blocks(steps)
    legal_tmwgie = _parts(environment, steps.legal_taie)
    decided_tie = steps.active_tie & jnp.any(legal_tmwgie[:, :, 1], axis=(1, 2))
    sizes = (legal_tmwgie.shape[1], 2, len(GATES))
    logit_taie, _ = network.unroll(params, steps.carry, steps.observation_tieo, steps.begins_te, steps.active_tie)
    log_prob_taie = legal_log_probs(logit_taie, steps.legal_taie, axis=1)
    own = PartCredit(
        advantage_tie=jnp.zeros(steps.reward_tie.shape),
        decided_tie=decided_tie,
        log_prob_tie=part_log_probs(log_prob_taie, steps.action_tie, sizes, 1),
        sizes=sizes,
        place=1,
    )
    pulled_tjie = paid.pulled(params, steps.observation_tieo, steps.begins_te)
    pulled_tjie = jnp.where(steps.active_tie[:, None], pulled_tjie, NOBODYS)
    trajectory = write_trajectory(steps, own, pulled_tjie)
    grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, paid.num_rollouts, *leaf.shape[1:]), trajectory)
    credit_ekt = jax.vmap(paid.credit)(grouped).reshape(num_episodes, *decided_tie.shape[1::-1])
    told["write_credit"] = jnp.sum(jnp.abs(credit_ekt)) / jnp.maximum(jnp.sum(decided_tie), 1)
    return after, steps, told, replace(own, advantage_tie=jnp.transpose(credit_ekt, (2, 1, 0)))


def begun_in_groups(environment: Environment, network: ActorCritic, run: PpoRun, num_rollouts: int) -> PpoRun:
    """The run with all blocks anew; those of a group have one reset, whose draws are of this time alone."""
    num_episodes = len(run.begins_e)
    first_e = jnp.arange(num_episodes) // num_rollouts * num_rollouts
    reset_ew = jax.vmap(lambda seed_w: place_words(seed_w, jnp.asarray(_RESET)))(
        seeds_at(run.seed_ew[first_e], run.time)
    )
    return replace(
        run,
        world=begin_all(environment, reset_ew),
        carry=network.start(num_episodes),
        begins_e=jnp.ones(num_episodes, bool),
    )


def only_first_blocks(steps: Steps) -> Steps:
    """The steps with nobody active, and nothing paid, once an episode's first block is over."""
    over_te = jnp.all(steps.done_tie, axis=1)
    later_te = jnp.cumsum(over_te, axis=0) - over_te > 0
    return replace(
        steps,
        active_tie=steps.active_tie & ~later_te[:, None],
        reward_tie=jnp.where(later_te[:, None], 0.0, steps.reward_tie),
    )


def write_trajectory(steps: Steps, own: PartCredit, pulled_tjie: Array) -> Trajectory:
    """E rollouts [E, K, T] of agents as teams, from whole blocks and the numbers of the writes that each agent read."""
    num_steps, num_agents, num_episodes = own.decided_tie.shape
    inner = own.sizes[2]
    writes_tie = own.decided_tie & (steps.action_tie // inner % 2 == 1)
    time_t = jnp.arange(num_steps, dtype=jnp.float32)
    episode_e, reader_i = jnp.arange(num_episodes), jnp.arange(num_agents)
    number_tjie = jnp.where(pulled_tjie == NOBODYS, num_steps * num_agents, pulled_tjie)
    empty_xie = jnp.full((num_steps * num_agents, num_agents, num_episodes), jnp.inf)
    time_tjie = jnp.broadcast_to(time_t[:, None, None, None], number_tjie.shape)
    place = (number_tjie, reader_i[:, None], episode_e)
    read_xie = empty_xie.at[place].min(time_tjie, mode="drop")  # when each reader first read the write
    read_tkie = read_xie.reshape(num_steps, num_agents, num_agents, num_episodes)
    is_own_ki = jnp.eye(num_agents, dtype=bool)[:, :, None]
    read_tkie = jnp.where(is_own_ki, jnp.inf, read_tkie)
    readers_tke = jnp.sum(jnp.isfinite(read_tkie), axis=2, dtype=jnp.int32)
    return_e = jnp.sum(steps.reward_tie, axis=(0, 1)) / num_agents
    step_mask_tie = steps.active_tie
    runtime_e = jnp.sum(jnp.any(step_mask_tie, axis=1), axis=0).astype(jnp.float32)
    seconds_tie = jnp.broadcast_to(time_t[:, None, None], step_mask_tie.shape)

    def by_rollout(value_tie: Array) -> Array:
        return jnp.transpose(value_tie, (2, 1, 0))

    return Trajectory(
        reward_agg_g=return_e,
        reward_first_g=jnp.zeros_like(return_e),
        runtime_g=runtime_e,
        finish_seconds_gk=jnp.broadcast_to(runtime_e[:, None], (num_episodes, num_agents)),
        action_gkt=by_rollout(writes_tie.astype(jnp.int32)),
        behavior_log_prob_gkt=by_rollout(own.log_prob_tie),
        decision_seconds_gkt=by_rollout(jnp.where(own.decided_tie, seconds_tie, jnp.inf)),
        used_gkt=by_rollout(writes_tie & (readers_tke > 0)),
        num_other_readers_gkt=by_rollout(jnp.where(writes_tie, readers_tke, 0)),
        first_pull_seconds_gkt=by_rollout(jnp.where(writes_tie, jnp.min(read_tkie, axis=2), jnp.inf)),
        step_seconds_gkt=by_rollout(step_mask_tie.astype(jnp.float32)),
        step_mask_gkt=by_rollout(step_mask_tie),
        decision_mask_gkt=by_rollout(own.decided_tie),
        rollout_mask_g=jnp.ones(num_episodes, bool),
    )


def _parts(environment: Environment, legal_taie: Array) -> Array:
    """bool[T, moves, 2, gates, I, E]."""
    num_steps, _, *rest = legal_taie.shape
    return legal_taie.reshape(num_steps, environment.shape.num_moves, 2, len(GATES), *rest)
