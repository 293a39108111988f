"""NumPy and JAX do the same: their rollouts and one update, compared number by number."""

import jax
import numpy as np
from jax_side import ACTING, ENVIRONMENT, LEARNING, NETWORK, SHAPE, WORLD
from numpy_side import Learner as NumpyLearner
from numpy_side import Tasks, rollouts

from lts_jax.credit.reinforce import reinforce
from lts_jax.environments.contract import Controller
from lts_jax.environments.policies import of_network
from lts_jax.environments.randomness import seed_words
from lts_jax.environments.rollout import draw_group, group
from lts_jax.learning import update
from lts_jax.learning.state import init_state


def numpy_equals_jax(num_tasks: int = 16, num_rollouts: int = 4) -> dict[str, float]:
    """Largest differences of rewards, runtimes and actions between NumPy and JAX, and of parameters after an update."""
    state = init_state(NETWORK, LEARNING, jax.random.key(0))
    noisy = jax.tree.map(
        lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), state.params
    )
    state = init_state(NETWORK, LEARNING, jax.random.key(0))
    state = type(state)(noisy, state.opt_state, state.num_updates, state.num_skipped, state.prng_key)

    def one(key: jax.Array) -> tuple:
        task, key_g = draw_group(ENVIRONMENT, key, num_rollouts)
        rolled = group(ENVIRONMENT, task, key_g, Controller(of_network(NETWORK), noisy, ACTING))
        return task, jax.vmap(seed_words)(key_g), rolled

    task_b, seed_bgw, (trajectory, context, _) = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), num_tasks))
    after, _, _ = jax.jit(
        lambda state, *data: update.update_once(update.Learner(NETWORK, reinforce, LEARNING), state, *data)
    )(state, trajectory, context)
    last = lambda value: np.repeat(np.moveaxis(np.asarray(value), 0, -1), num_rollouts, axis=-1)  # noqa: E731
    names = ("kind_m", "before_m", "find_logit_m", "common_order_m", "name_md", "query_d")
    tasks = Tasks(*(last(getattr(task_b, name)) for name in names))
    seeds = np.asarray(seed_bgw).reshape(-1, 2).T.copy()
    learner = NumpyLearner({name: np.asarray(value) for name, value in noisy.items()}, LEARNING)
    rolled = rollouts(SHAPE, WORLD, tasks, seeds, learner.weights, LEARNING.temperature)
    learner.update(rolled)
    action = np.zeros((num_tasks * num_rollouts, SHAPE.num_events), int)
    action[rolled.lane_r, rolled.place_r] = rolled.action_r
    theirs = np.asarray(trajectory.action_gkt).reshape(action.shape)
    flat = lambda value: np.asarray(value).reshape(-1)  # noqa: E731
    return {
        "num_steps": abs(rolled.num_steps - int(trajectory.step_mask_gkt.sum())),
        "action": int(np.abs(action - theirs).max()),
        "reward_agg": float(np.abs(rolled.reward_agg_l - flat(trajectory.reward_agg_g)).max()),
        "reward_first": float(np.abs(rolled.reward_first_l - flat(trajectory.reward_first_g)).max()),
        "runtime": float(np.abs(rolled.runtime_l / flat(trajectory.runtime_g) - 1).max()),
        "parameters": max(float(np.abs(learner.weights[name] - after.params[name]).max()) for name in noisy),
        "moved": max(float(np.abs(learner.weights[name] - noisy[name]).max()) for name in noisy),
    }


if __name__ == "__main__":
    print(numpy_equals_jax())
