"""A whole training run as one pure function: rollouts, credit, update and evaluation, to be compiled once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.answered import REPLAYED, AnsweredFn, answered_mask
from lts_jax.credit.check import needs
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind
from lts_jax.environments.contract import Acting, Controller, Environment
from lts_jax.environments.policies import blind, constant, constant_logit, of_network
from lts_jax.environments.replays import Original, with_replays
from lts_jax.environments.rollout import draw_group, group, lone_rollouts
from lts_jax.lab.settings import LabSettings
from lts_jax.learning.objective_parts import POLICY_GRADIENT, AdmissionValue, Objective
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state, is_solved
from lts_jax.learning.update import Learner, Metrics, update_once
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.parts import Part
from lts_jax.trajectory import DecisionContext, Trajectory

_INIT, _TRAIN, _EVALUATE, _REPLAY = 0, 1, 2, 4  # purposes folded into a run's key
CURVES = (
    "learning/loss",
    "learning/gradient_norm",
    "learning/admit_probability",
    "credit/std",
    "credit/return_mean",
    "memory/admission_fraction",
    "memory/used_fraction",
)


@dataclass(frozen=True)
class Plan:
    """What a compiled program is made for; everything else is traced."""

    settings: LabSettings  # its numbers are not looked at
    environment: Environment  # nor are those of it
    network: PolicyNetwork
    credits: tuple[Part, ...]  # schemes, of which `Numbers.scheme` says the one
    needs: frozenset[str]  # of `flipped`, `coalitions`, `regrouped`
    objective: Objective = POLICY_GRADIENT


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numbers:
    """What is traced through a program. Under vmap every array has the sweep axis S in front."""

    world: Any
    learning: LearningSettings
    credit: tuple[Mapping[str, Array | float], ...]  # of each scheme of the plan, by name
    scheme: Array | int = 0  # i32[] place among the plan's schemes


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Result:
    """What a run came to. Under vmap every array has the sweep axis S in front."""

    measures: dict[str, Array]  # f32[] each
    curves: dict[str, Array]  # f32[I] each
    params: Params


def train_and_evaluate(plan: Plan, numbers: Numbers, prng_key: Array, start: Params = None) -> Result:
    """Train `num_iterations` updates on fresh tasks, then act greedily on evaluation tasks that the key alone fixes."""
    state, curves = train(plan, numbers, prng_key, start)
    if not plan.settings.num_evaluation_tasks:
        return Result({}, curves, state.params)
    return Result(evaluate(plan, numbers, state.params, prng_key), curves, state.params)


def train(plan: Plan, numbers: Numbers, prng_key: Array, start: Params = None) -> tuple[TrainState, dict[str, Array]]:
    """The training loop as a scan: the final state, and the curves of `CURVES` f32[I].

    `start` are parameters to begin with, in place of fresh ones.
    """
    network, objective, learning = plan.network, plan.objective, numbers.learning
    state = init_state(network, learning, jax.random.fold_in(prng_key, _INIT), objective=objective)
    state = state if start is None else replace(state, params=start)
    train_key = jax.random.fold_in(prng_key, _TRAIN)
    credit, answered = chosen_credit(plan, numbers), chosen_answered(plan, numbers)
    update = partial(update_once, Learner(network, credit, learning, objective=objective, answered=answered))
    num_iterations = plan.settings.num_iterations
    batch = partial(training_batch, plan, numbers)
    past: Any = ()
    if isinstance(objective, AdmissionValue) and not is_solved(network, objective):
        shapes = jax.eval_shape(batch, state.params, train_key)
        past = jax.tree.map(lambda leaf: jnp.zeros((num_iterations, *leaf.shape), leaf.dtype), shapes)

    def iterate(carry: tuple[TrainState, Any], iteration: Array) -> tuple[tuple[TrainState, Any], Metrics]:
        state, past = carry
        key = jax.random.fold_in(train_key, iteration)
        newest = batch(state.params, key)
        state, metrics, _ = update(state, *newest)
        if jax.tree.leaves(past):
            past = jax.tree.map(lambda all_i, leaf: all_i.at[iteration].set(leaf), past, newest)
            chosen = jax.random.fold_in(jax.random.fold_in(prng_key, _REPLAY), iteration)
            state = _replayed(update, state, past, iteration, chosen, num_steps=objective.num_steps)  # type: ignore[union-attr]
        return (state, past), {name: metrics[name] for name in CURVES if name in metrics}

    (state, _), curves = jax.lax.scan(iterate, (state, past), jnp.arange(num_iterations))
    return state, curves


def _replayed(
    update: Any, state: TrainState, past: Any, iteration: Array, prng_key: Array, *, num_steps: int
) -> TrainState:
    """More steps, each on the rollouts of an iteration drawn from those so far (`learning.replayed`)."""
    place_s = jax.random.randint(prng_key, (num_steps,), 0, iteration + 1)

    def step(number: Array, state: TrainState) -> TrainState:
        return update(state, *jax.tree.map(lambda all_i: all_i[place_s[number]], past))[0]

    return jax.lax.fori_loop(1, num_steps, step, state)


def chosen_credit(plan: Plan, numbers: Numbers) -> CreditFn:
    """The scheme that the numbers name, which may be traced, with its own numbers."""
    first_weight = numbers.learning.first_weight
    bound = [
        bind(part, first_weight=first_weight, **own) for part, own in zip(plan.credits, numbers.credit, strict=True)
    ]
    return bound[0] if len(bound) == 1 else partial(jax.lax.switch, numbers.scheme, bound)


def chosen_answered(plan: Plan, numbers: Numbers) -> AnsweredFn | None:
    """Which decisions the chosen scheme could judge: those of it alone, whatever replays the others needed."""
    if not plan.needs & REPLAYED:
        return None
    masks = [
        partial(answered_mask, needed=needs(bind(part)), first_weight=numbers.learning.first_weight)
        for part in plan.credits
    ]
    return masks[0] if len(masks) == 1 else partial(jax.lax.switch, numbers.scheme, masks)


def training_batch(plan: Plan, numbers: Numbers, params: Params, prng_key: Array) -> tuple[Trajectory, DecisionContext]:
    """B fresh tasks with G rollouts each, and the replays that the credit scheme needs."""
    environment, settings = replace(plan.environment, params=numbers.world), plan.settings
    controller = Controller(
        of_network(plan.network), params, Acting(numbers.learning.temperature, False, plan.objective.min_probability)
    )

    def one(key: Array) -> tuple[Trajectory, DecisionContext]:
        task, key_g = draw_group(environment, key, settings.num_rollouts)
        trajectory, context, truth = group(environment, task, key_g, controller)
        original = Original(environment, task, key_g, controller, trajectory, truth)
        return with_replays(original, settings.replays, plan.needs), context

    return jax.vmap(one)(jax.random.split(prng_key, settings.tasks_per_update))


def evaluate(plan: Plan, numbers: Numbers, params: Params, prng_key: Array) -> dict[str, Array]:
    """Measures of the greedy controller, beside no memory, all, and a coin that admits as often, on the same tasks.

    Where there are more actions than two it acts by chance, as it was trained: its likeliest action again and again
    is another policy, and a worse one. Beside it stands a policy that takes any legal action.
    """
    key, shape = jax.random.fold_in(prng_key, _EVALUATE), plan.environment.shape
    has_more = getattr(shape, "num_actions", 2) > 2
    measured = partial(_evaluated, plan, key)
    acting = Acting(numbers.learning.temperature, not has_more)
    learned = measured(numbers.world, Controller(of_network(plan.network), params, acting))
    if has_more:  # neither all nor a coin of one rate means anything here
        random = Controller(blind(shape.num_actions, shape.num_targets), jnp.zeros(()), Acting(1.0, False))
        compared = measured(numbers.world, random)
        return learned | {f"{name}_random": value for name, value in compared.items()}
    rate = jnp.clip(learned["admission_fraction"], 1e-6, 1.0 - 1e-6)
    # One compiled loop for all policies that look at nothing: no memory, everything, a coin.
    logit_p = jnp.stack([constant_logit(0.0), constant_logit(1.0), jnp.log(rate) - jnp.log1p(-rate)])
    has_memory_p = numbers.world.has_memory * jnp.asarray([0.0, 1.0, 1.0])

    def unseeing(logit: Array, has_memory: Array) -> dict[str, Array]:
        arm: Any = replace(numbers.world, has_memory=has_memory)
        return measured(arm, Controller(constant, logit, Acting(1.0, False)))

    measured_p = jax.vmap(unseeing)(logit_p, has_memory_p)
    compared = {
        f"{name}_{arm}": measured_p[name][place]
        for place, arm in enumerate(("none", "all", "random_matched"))
        for name in ("reward", "runtime_seconds")
    }
    saved = 100.0 * (1.0 - learned["runtime_seconds"] / compared["runtime_seconds_none"])
    return learned | {"saved_percent": saved} | compared


def _evaluated(plan: Plan, prng_key: Array, world: Any, controller: Controller) -> dict[str, Array]:
    environment = replace(plan.environment, params=world)
    num_tasks = plan.settings.num_evaluation_tasks
    return environment.measures(lone_rollouts(environment, prng_key, controller, num_tasks))
