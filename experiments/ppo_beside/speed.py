"""A stranger's PPO on our world beside our learner, and our rollouts as games beside their own loop: steps a second.

python experiments/ppo_beside/speed.py

Both sides of a pair are measured in turn, again and again; what is told is the median of each and of their ratios.
"""

import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from stranger import CONFIG, Net, make_train, mlp

from lts_jax.adapters.agents_game import AgentsGame
from lts_jax.adapters.stepwise import AdmissionGame, auto_reset, auto_reset_all
from lts_jax.environments import rollout as rollouts
from lts_jax.environments.contract import Acting, Controller, Observation
from lts_jax.environments.grid.environment import bottlenecks
from lts_jax.environments.policies import SURE, constant, constant_logit
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.lab.ppo_training import PpoPlan, advance, begin_run
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.shared_memory import CoreSettings, actor_critic
from lts_jax.storage import write_json
from lts_jax.systems.srmt_settings import small_budget


@dataclass(frozen=True, slots=True)
class Config:
    """How much is measured."""

    repeats: int = 7
    num_updates: int = 4  # of a call
    num_games: int = 1024  # side by side
    results: Path = Path(__file__).parent / "results"


Side = tuple[Callable[[], Any], float]
"""A compiled call, and how many steps it takes."""


def our_network() -> ActorCritic:
    """The feed-forward core."""
    world = bottlenecks(limits=0)
    return actor_critic(CoreSettings("empty"), world.shape.observation, 5, world.shape.num_agents)


def ours(num_updates: int) -> Side:
    """Our learner: agent steps lived through and learned from."""
    world, settings = bottlenecks(limits=0), small_budget()
    plan, numbers = PpoPlan(replace(world, params=None), our_network(), settings), (world.params, settings)
    run = jax.jit(partial(begin_run, plan))(numbers, jax.random.key(0))
    go = jax.jit(partial(advance, plan, num_updates))
    return lambda: go(run, numbers), num_updates * settings.num_environments * settings.rollout_steps * 2


def borrowed() -> Net:
    """Our feed-forward network in the stranger's idiom."""
    network = our_network()

    def apply(params: Any, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        num_rows = obs.shape[0]
        begins, active = jnp.zeros((1, num_rows), bool), jnp.ones((1, 1, num_rows), bool)
        logits, value = network.unroll(params, network.start(num_rows), obs[None, None], begins, active)
        return logits[0, :, 0].T, value[0, 0]

    return Net(network.init, apply)


def stranger(net: Net, num_updates: int) -> Side:
    """The stranger's learner: the same steps, epochs and shares."""
    config = CONFIG | {"NUM_UPDATES": num_updates}
    env = AgentsGame(bottlenecks(limits=0))
    train = jax.jit(make_train(config, env, net))
    num_steps = num_updates * config["NUM_ENVS"] * config["NUM_STEPS"] * env.num_agents
    return lambda: train(jax.random.key(0)), num_steps


def by_summary(params: Any, seen: Observation) -> jax.Array:
    """Admit where the mean of the summary's vector is above 0: something that must look."""
    return jnp.stack([jnp.zeros(()), jnp.mean(seen.step_3d[1]) * SURE])


def own_loop(num_games: int, *, looks: bool) -> Side:
    """Rollouts of the environment's own loop, a coin deciding or what is seen: decisions."""
    policy, params = (by_summary, ()) if looks else (constant, constant_logit(0.5))
    controller = Controller(policy, params, Acting(temperature=1.0, is_greedy=looks))

    @jax.jit
    def play(prng_key: jax.Array) -> Any:
        def one(prng_key: jax.Array) -> Any:
            task_key, rollout_key = jax.random.split(prng_key)
            task = TEAMS.draw_task(TEAMS.shape, TEAMS.params, task_key)
            trajectory = rollouts.rollout(TEAMS, task, rollout_key, controller)[0]
            return trajectory.reward_agg_g, trajectory.runtime_g, jnp.sum(trajectory.step_mask_gkt)

        return jax.vmap(one)(jax.random.split(prng_key, num_games))

    return lambda: play(jax.random.key(0)), float(jnp.sum(play(jax.random.key(0))[2]))


def as_games(num_games: int, *, looks: bool, is_many: bool = True) -> Side:
    """The same world as games that begin anew, by `auto_reset_all` or each by itself: decisions."""
    game, num_steps = AdmissionGame(TEAMS), TEAMS.shape.num_teams * TEAMS.shape.max_steps
    step = auto_reset_all(game) if is_many else jax.vmap(auto_reset(game))
    width = TEAMS.shape.embedding_width

    @jax.jit
    def play(prng_key: jax.Array) -> Any:
        key_x = jax.random.split(prng_key, num_games)

        def one(now: tuple[Any, Any], number: jax.Array) -> Any:
            key, (seen_xo, state_x) = jax.random.fold_in(prng_key, number), now
            action_x = jax.random.bernoulli(key, 0.5, (num_games,))
            if looks:
                action_x = jnp.mean(seen_xo[:, 2 * width : 3 * width], axis=1) > 0
            keys = jax.random.split(key, num_games)
            seen_xo, state_x, reward_x, done_x, _ = step(keys, state_x, action_x.astype(jnp.int32))
            return (seen_xo if looks else (), state_x), (reward_x, done_x)

        seen_xo, state_x = jax.vmap(game.reset)(key_x)
        return jax.lax.scan(one, (seen_xo if looks else (), state_x), jnp.arange(num_steps))[1]

    return lambda: play(jax.random.key(0)), float(num_games * num_steps)


def processor_now() -> float:
    """Seconds of the processor that this process has used."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def compare(one: Side, other: Side, repeats: int) -> dict[str, Any]:
    """Steps a second of both, in turn, by the wall and by the processor; medians, and the median ratio."""
    rates: dict[str, list[float]] = {"one": [], "other": [], "one_processor": [], "other_processor": []}
    for repeat in range(repeats + 1):
        for name, (call, num_steps) in (("one", one), ("other", other)):
            wall, processor = time.perf_counter(), processor_now()
            jax.block_until_ready(call())
            if repeat:  # the first one compiles
                rates[name].append(num_steps / (time.perf_counter() - wall))
                rates[f"{name}_processor"].append(num_steps / (processor_now() - processor))
    ratios = {
        kind: [a / b for a, b in zip(rates[f"one{kind}"], rates[f"other{kind}"], strict=True)]
        for kind in ("", "_processor")
    }
    told = {name: round(statistics.median(values)) for name, values in rates.items()}
    told |= {f"ratio{kind}": round(statistics.median(values), 3) for kind, values in ratios.items()}
    return told | {"ratio_range": [round(min(ratios[""]), 3), round(max(ratios[""]), 3)]}


def main(config: Config) -> None:
    """Print and store."""
    load = os.getloadavg()[0]
    found: dict[str, Any] = {"load_before": round(load, 2), "repeats": config.repeats}
    num_games, world = config.num_games, bottlenecks(limits=0)
    num_obs = AgentsGame(world).observation_space().shape[0]
    sides = {
        "stranger, our network / ours": (stranger(borrowed(), config.num_updates), ours(config.num_updates)),
        "stranger, his network / ours": (stranger(mlp(num_obs, 5), config.num_updates), ours(config.num_updates)),
        "games / own loop": (as_games(num_games, looks=False), own_loop(num_games, looks=False)),
        "games that look / own loop that looks": (as_games(num_games, looks=True), own_loop(num_games, looks=True)),
        "games, each begun by itself / own loop": (
            as_games(num_games, looks=False, is_many=False),
            own_loop(num_games, looks=False),
        ),
        "games / own loop, 128 at once": (as_games(128, looks=False), own_loop(128, looks=False)),
    }
    for name, (one, other) in sides.items():
        found[name] = compare(one, other, config.repeats)
        print(f"{name:<40}", found[name], flush=True)
    write_json(config.results / "speed.json", found)


if __name__ == "__main__":
    main(tyro.cli(Config))
