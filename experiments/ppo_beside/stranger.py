"""PPO as somebody from PureJaxRL would write it for our bottleneck: one jitted `train`, `lax.scan` all the way down.

Nothing of our learner is used: the world comes through `AgentsGame`, agents share their parameters and are rows of one
batch, keys are split. Whoever is at the goal already goes on as a row that is not counted.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from lts_jax.adapters.agents_game import AgentsGame

Config = dict[str, Any]
CONFIG: Config = {
    "LR": 1e-3,
    "NUM_ENVS": 128,
    "NUM_STEPS": 32,
    "NUM_UPDATES": 2,
    "UPDATE_EPOCHS": 2,
    "NUM_MINIBATCHES": 4,
    "GAMMA": 0.9716,
    "GAE_LAMBDA": 0.95,
    "CLIP_EPS": 0.2,
    "ENT_COEF": 0.0156,
    "VF_COEF": 0.5,
    "MAX_GRAD_NORM": 4.0,
}
"""The sizes and numbers of `lts system srmt`."""


class Transition(NamedTuple):
    """One step of all rows."""

    done: Array
    active: Array
    action: Array
    value: Array
    reward: Array
    log_prob: Array
    obs: Array


class Net(NamedTuple):
    """A network in the idiom: `init(rng)`, and `apply(params, obs [N, O])` -> (logits [N, A], value [N])."""

    init: Callable[[Array], Any]
    apply: Callable[[Any, Array], tuple[Array, Array]]


class RunnerState(NamedTuple):
    """What the outer loop carries."""

    params: Any
    opt_state: Any
    env_state: Any
    obs: Array
    active: Array
    rng: Array


def mlp(num_obs: int, num_actions: int, hidden: int = 64) -> Net:
    """Two tanh layers for the actor and two for the critic, as in PureJaxRL."""

    def dense(rng: Array, n_in: int, n_out: int, scale: float) -> dict[str, Array]:
        return {"w": jax.nn.initializers.orthogonal(scale)(rng, (n_in, n_out)), "b": jnp.zeros(n_out)}

    def init(rng: Array) -> Any:
        keys = jax.random.split(rng, 6)
        heads = {"actor": (num_actions, 0.01), "critic": (1, 1.0)}
        return {
            name: [
                dense(keys[3 * place], num_obs, hidden, 2**0.5),
                dense(keys[3 * place + 1], hidden, hidden, 2**0.5),
                dense(keys[3 * place + 2], hidden, out, scale),
            ]
            for place, (name, (out, scale)) in enumerate(heads.items())
        }

    def run(layers: list[dict[str, Array]], x: Array) -> Array:
        for layer in layers[:-1]:
            x = jnp.tanh(x @ layer["w"] + layer["b"])
        return x @ layers[-1]["w"] + layers[-1]["b"]

    def apply(params: Any, obs: Array) -> tuple[Array, Array]:
        return run(params["actor"], obs), run(params["critic"], obs)[:, 0]

    return Net(init, apply)


def gae(config: Config, traj: Transition, last_value: Array) -> tuple[Array, Array]:
    """Advantages by generalised estimation, and the targets of the value."""

    def back(carry: tuple[Array, Array], step: Transition) -> tuple[tuple[Array, Array], Array]:
        later, next_value = carry
        goes_on = 1.0 - step.done
        delta = step.reward + config["GAMMA"] * next_value * goes_on - step.value
        advantage = delta + config["GAMMA"] * config["GAE_LAMBDA"] * goes_on * later
        return (advantage, step.value), advantage

    _, advantages = jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), traj, reverse=True)
    return advantages, advantages + traj.value


def loss_fn(config: Config, net: Net, params: Any, batch: tuple[Transition, Array, Array]) -> Array:
    """PPO's loss over the rows that are counted."""
    traj, advantages, targets = batch
    logits, value = net.apply(params, traj.obs)
    log_probs = jax.nn.log_softmax(logits)
    log_prob = jnp.take_along_axis(log_probs, traj.action[:, None], axis=1)[:, 0]
    ratio = jnp.exp(log_prob - traj.log_prob)
    mean = advantages.mean(where=traj.active)
    norm = (advantages - mean) / (advantages.std(where=traj.active) + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config["CLIP_EPS"], 1.0 + config["CLIP_EPS"])
    actor = -jnp.minimum(ratio * norm, clipped * norm).mean(where=traj.active)
    critic = jnp.square(value - targets).mean(where=traj.active)
    entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=1).mean(where=traj.active)
    return actor + config["VF_COEF"] * critic - config["ENT_COEF"] * entropy


def make_train(config: Config, env: AgentsGame, net: Net) -> Callable[[Array], dict[str, Any]]:
    """A function rng -> the runner's last state and metrics of each update; to be jitted, and vmapped over seeds."""
    num_rows = config["NUM_ENVS"] * env.num_agents
    batch_size = num_rows * config["NUM_STEPS"]
    minibatch_size = batch_size // config["NUM_MINIBATCHES"]
    tx = optax.chain(optax.clip_by_global_norm(config["MAX_GRAD_NORM"]), optax.adam(config["LR"], eps=1e-5))

    def rows(x: Array) -> Array:
        return x.reshape(num_rows, *x.shape[2:])

    def train(rng: Array) -> dict[str, Any]:
        rng, net_rng, reset_rng = jax.random.split(rng, 3)
        params = net.init(net_rng)
        obs, env_state = jax.vmap(env.reset)(jax.random.split(reset_rng, config["NUM_ENVS"]))
        active = jnp.ones(num_rows, bool)
        runner_state = RunnerState(params, tx.init(params), env_state, rows(obs), active, rng)

        def update_minibatch(carry: tuple[Any, Any], batch: tuple[Transition, Array, Array]) -> Any:
            params, opt_state = carry
            loss, grads = jax.value_and_grad(partial(loss_fn, config, net))(params, batch)
            updates, opt_state = tx.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        def update_step(runner_state: RunnerState, _: None) -> tuple[RunnerState, dict[str, Array]]:
            def env_step(state: RunnerState, _: None) -> tuple[RunnerState, tuple[Transition, dict[str, Array]]]:
                rng, act_rng, step_rng = jax.random.split(state.rng, 3)
                logits, value = net.apply(state.params, state.obs)
                action = jax.random.categorical(act_rng, logits)
                log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]
                obs, env_state, reward, done, info = jax.vmap(env.step)(
                    jax.random.split(step_rng, config["NUM_ENVS"]),
                    state.env_state,
                    action.reshape(config["NUM_ENVS"], env.num_agents),
                )
                transition = Transition(rows(done), state.active, action, value, rows(reward), log_prob, state.obs)
                after = RunnerState(state.params, state.opt_state, env_state, rows(obs), rows(info["active"]), rng)
                return after, (transition, {name: info[name] for name in ("is_over", "csr")})

            runner_state, (traj, info) = jax.lax.scan(env_step, runner_state, None, config["NUM_STEPS"])
            _, last_value = net.apply(runner_state.params, runner_state.obs)
            advantages, targets = gae(config, traj, last_value)

            def update_epoch(carry: tuple[Any, Any, Array], _: None) -> tuple[tuple[Any, Any, Array], Array]:
                params, opt_state, rng = carry
                rng, order_rng = jax.random.split(rng)
                order = jax.random.permutation(order_rng, batch_size)
                batch = jax.tree.map(lambda x: x.reshape(batch_size, *x.shape[2:])[order], (traj, advantages, targets))
                minibatches = jax.tree.map(
                    lambda x: x.reshape(config["NUM_MINIBATCHES"], minibatch_size, *x.shape[1:]), batch
                )
                (params, opt_state), loss = jax.lax.scan(update_minibatch, (params, opt_state), minibatches)
                return (params, opt_state, rng), loss

            carry = (runner_state.params, runner_state.opt_state, runner_state.rng)
            (params, opt_state, rng), loss = jax.lax.scan(update_epoch, carry, None, config["UPDATE_EPOCHS"])
            runner_state = runner_state._replace(params=params, opt_state=opt_state, rng=rng)
            num_over = jnp.maximum(jnp.sum(info["is_over"]), 1)
            csr = jnp.sum(jnp.where(info["is_over"], info["csr"], 0.0)) / num_over
            return runner_state, {"loss": jnp.mean(loss), "csr": csr, "num_over": jnp.sum(info["is_over"])}

        runner_state, metrics = jax.lax.scan(update_step, runner_state, None, config["NUM_UPDATES"])
        return {"runner_state": runner_state, "metrics": metrics}

    return train
