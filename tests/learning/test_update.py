"""One update: its reduction to the plain algorithm, padding, the NaN guard, traces, and what it learns."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.credit.answered import answered_by
from lts_jax.credit.gae import gae
from lts_jax.credit.group_relative import group_relative
from lts_jax.credit.return_to_go import return_to_go
from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError
from lts_jax.learning.metrics import METRICS, as_floats
from lts_jax.learning.objective import Batch, admission_loss
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import make_update
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, Step
from lts_jax.trajectory import DecisionContext, FlippedRollouts, RegroupedRollouts, Trajectory

D = 4


def table_network(num_features: int) -> PolicyNetwork:
    """The simplest policy: the step's summary is a one-hot feature, its logit of ADMIT stands in a table."""

    def logits_of(params: dict, summary: jax.Array) -> jax.Array:
        d = summary @ params["table"]
        return jnp.stack([jnp.zeros_like(d), d], axis=-1)

    return PolicyNetwork(
        init=lambda prng_key: {"table": jnp.zeros(num_features)},
        decision_logits=lambda params, query, key, num_keys, step: logits_of(params, step[..., 1, :]),
        packed_logits=lambda params, context: logits_of(params, context.step_gktsd[..., 1, :]),
        key_window=1,
        name="table",
    )


def batch_of(seed: int, tasks: int = 2, rollouts: int = 3) -> tuple[Trajectory, DecisionContext]:
    """Random groups of two teams with three steps; the last step of the last team is padding."""
    rng = np.random.default_rng(seed)
    shape = (tasks, rollouts, 2, 3)
    decided = np.ones(shape, bool)
    decided[..., 1, 2] = False
    action = np.where(decided, rng.integers(0, 2, shape), 0)
    trajectory = Trajectory(
        reward_agg_g=rng.random(shape[:2]).astype(np.float32),
        reward_first_g=rng.random(shape[:2]).astype(np.float32),
        runtime_g=np.full(shape[:2], 50.0, np.float32),
        finish_seconds_gk=np.full(shape[:3], 40.0, np.float32),
        action_gkt=action.astype(np.int32),
        behavior_log_prob_gkt=np.where(decided, np.log(0.5), 0.0).astype(np.float32),
        decision_seconds_gkt=np.where(decided, 1.0, np.inf).astype(np.float32),
        used_gkt=(action == 1) & (rng.random(shape) < 0.5),
        num_other_readers_gkt=np.zeros(shape, np.int32),
        first_pull_seconds_gkt=np.full(shape, np.inf, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=decided,
        decision_mask_gkt=decided,
        rollout_mask_g=np.ones(shape[:2], bool),
    )
    context = DecisionContext(
        query_d=rng.normal(size=(tasks, D)).astype(np.float32),
        key_gnd=rng.normal(size=(*shape[:2], 2, D)).astype(np.float32),
        num_keys_gkt=rng.integers(0, 3, shape).astype(np.int32),
        step_gktsd=rng.normal(size=(*shape, 3, D)).astype(np.float32),
    )
    return trajectory, context


def small_network() -> PolicyNetwork:
    return set_transformer(SetTransformerSettings(embedding_width=D, width=4, num_layers=1, num_heads=1, key_window=2))


def moved(state: TrainState) -> TrainState:
    """The state with parameters away from zero."""
    rng = np.random.default_rng(0)
    return replace(
        state, params=jax.tree.map(lambda p: p + rng.normal(0, 0.3, p.shape).astype(np.float32), state.params)
    )


def test_without_bonus_and_penalty_it_is_reinforce_with_a_baseline() -> None:
    settings = LearningSettings(sparsity_weight=0.0, temperature=1.0)
    network = table_network(D)
    trajectory, context = batch_of(0)
    params = {"table": jnp.array([0.3, -0.2, 0.1, 0.5])}
    credit = jax.vmap(scheme("usage_aware(usage_weight=0)"))(trajectory)
    slope = jax.jit(jax.grad(partial(admission_loss, network, settings), has_aux=True))
    gradient = slope(params, Batch(trajectory, context, credit))
    # The score-function gradient by hand: -(A / n) * (z - p) * feature, A from the group's returns.
    expected = np.zeros(D)
    for task in range(2):
        returns = trajectory.reward_agg_g[task] + trajectory.reward_first_g[task]
        advantage = (returns - returns.mean()) / (returns.std() + 1e-6)
        for g, k, t in np.ndindex(3, 2, 3):
            if (k, t) != (1, 2):
                feature = context.step_gktsd[task, g, k, t, 1]
                p = 1.0 / (1.0 + np.exp(-feature @ np.asarray(params["table"])))
                expected -= advantage[g] * (trajectory.action_gkt[task, g, k, t] - p) * feature / 6
    np.testing.assert_allclose(gradient[0]["table"], expected, atol=1e-5)


def test_the_temperature_of_the_loss_may_be_traced() -> None:
    network, (trajectory, context) = table_network(D), batch_of(0)
    params = {"table": jnp.array([0.3, -0.2, 0.1, 0.5])}
    credit = jax.vmap(group_relative)(trajectory)

    def loss(loss_temperature: float) -> jax.Array:
        settings = LearningSettings(temperature=1.2, loss_temperature=loss_temperature)
        return admission_loss(network, settings, params, Batch(trajectory, context, credit))[0]

    traced = jax.jit(loss)(jnp.float32(0.5))
    np.testing.assert_allclose(traced, loss(0.5), rtol=1e-5)
    assert abs(float(traced) - float(loss(1.2))) > 1e-3


def test_passes_of_a_few_tasks_add_up_to_the_whole_batch() -> None:
    """Also where parts count other numbers of rollouts and decisions than the others."""
    network = replace(
        table_network(D),
        packed_values=lambda params, context: jnp.tanh(context.step_gktsd[..., 1, :] @ params["table"]),
    )
    trajectory, context = batch_of(3, tasks=4)
    trajectory.rollout_mask_g[1] = False
    trajectory.decision_mask_gkt[2, 0] = False
    settings = LearningSettings(entropy_weight=0.1, learning_rate=0.01)
    state = moved(init_state(network, settings, jax.random.key(0)))
    whole, expected, _ = make_update(network, scheme("gae"), settings)(state, trajectory, context)
    for per_pass in (1, 2):
        divided = replace(settings, tasks_per_pass=per_pass)
        new, metrics, _ = make_update(network, scheme("gae"), divided)(state, trajectory, context)
        assert set(metrics) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(metrics[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
        # The first moment is a tenth of the gradient; AdamW's step would blow up what is zero but for rounding.
        for ours, theirs in zip(jax.tree.leaves(new.opt_state), jax.tree.leaves(whole.opt_state), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    with pytest.raises(UserError, match="tasks_per_pass: expected a divisor of 4 tasks, got 3"):
        make_update(network, scheme("gae"), replace(settings, tasks_per_pass=3))(state, trajectory, context)


def test_gradient_through_padding_is_exactly_zero() -> None:
    network, settings = small_network(), LearningSettings(entropy_weight=0.1)
    trajectory, context = batch_of(1)
    trajectory.rollout_mask_g[1, 2] = False
    credit = jax.vmap(group_relative)(trajectory)
    params = moved(init_state(network, settings, jax.random.key(0))).params

    @jax.jit
    @jax.grad
    def by_step(step: jax.Array) -> jax.Array:
        batch = Batch(trajectory, replace(context, step_gktsd=step), credit)
        return admission_loss(network, settings, params, batch)[0]

    gradient = np.asarray(by_step(context.step_gktsd))
    assert (gradient[:, :, 1, 2] == 0.0).all()
    assert (gradient[1, 2] == 0.0).all()
    assert (np.abs(gradient[0, :, 0]).max(axis=(-1, -2)) > 0.0).all()


def test_update_is_adamw_after_clipping_and_is_traced_once() -> None:
    settings = LearningSettings(max_gradient_norm=0.01, weight_decay=0.1, learning_rate=0.02)
    network = table_network(D)
    traced = []

    def credit(trajectory: Trajectory) -> jax.Array:
        traced.append(trajectory)
        return group_relative(trajectory)

    update = make_update(network, credit, settings)
    state = init_state(network, settings, jax.random.key(0))
    plain = optax.chain(optax.clip_by_global_norm(0.01), optax.adamw(0.02, weight_decay=0.1))
    params, opt_state = state.params, plain.init(state.params)
    slope = jax.jit(jax.grad(partial(admission_loss, network, settings), has_aux=True))
    for seed in range(3):
        trajectory, context = batch_of(seed)
        state, metrics, _ = update(state, trajectory, context)
        given = jax.vmap(group_relative)(trajectory)
        gradient, _ = slope(params, Batch(trajectory, context, given))
        change, opt_state = plain.update(gradient, opt_state, params)
        params = optax.apply_updates(params, change)
        np.testing.assert_allclose(state.params["table"], params["table"], atol=1e-6)
    assert len(traced) == 1
    assert (int(state.num_updates), int(state.num_skipped)) == (3, 0)
    # All in the table, and in its order, but for what other networks and objectives have.
    others = {
        "value_error",
        "admits_greedily",
        "reward_shrinkage",
        "runtime_shrinkage",
        "reward_belief",
        "runtime_belief",
    }
    assert list(as_floats(metrics)) == [name for name in METRICS if name.removeprefix("learning/") not in others]
    assert as_floats(metrics)["learning/gradient_norm"] == pytest.approx(float(optax.tree.norm(gradient)), rel=1e-4)


def test_a_value_head_is_trained_towards_the_return_and_read_by_gae() -> None:
    table = table_network(D)

    def init(prng_key: jax.Array) -> dict[str, jax.Array]:
        return table.init(prng_key) | {"value": jax.numpy.zeros(())}

    def values(params: dict[str, jax.Array], context: DecisionContext) -> jax.Array:
        return jax.numpy.broadcast_to(params["value"], context.num_keys_gkt.shape)

    network = replace(table, init=init, packed_values=values)
    settings = LearningSettings(learning_rate=0.05, value_weight=1.0, weight_decay=0.0, sparsity_weight=0.0)
    trajectory, context = batch_of(0)
    to_go = np.asarray(jax.vmap(partial(return_to_go, baseline=False))(trajectory))
    counted = trajectory.decision_mask_gkt & np.isfinite(trajectory.reward_agg_g)[..., None, None]
    counted = counted & trajectory.rollout_mask_g[..., None, None]
    update = make_update(network, gae, settings)
    state = init_state(network, settings, jax.random.key(0))
    _, metrics, _ = update(state, trajectory, context)
    assert as_floats(metrics)["learning/value_error"] == pytest.approx((to_go[counted] ** 2).mean(), rel=1e-5)
    for _ in range(200):
        state, metrics, _ = update(state, trajectory, context)
    assert float(state.params["value"]) == pytest.approx(to_go[counted].mean(), abs=0.02)


@pytest.mark.parametrize("place", ["query_d", "key_gnd", "step_gktsd"])
@pytest.mark.parametrize("junk", [np.nan, np.inf])
def test_what_is_not_finite_never_reaches_the_state(place: str, junk: float, update_of_table: Callable) -> None:
    update, fresh = update_of_table
    before, _, _ = update(fresh, *batch_of(2))
    trajectory, context = batch_of(2)  # arrays of its own: the first update may still read those it was given
    getattr(context, place)[0, 0] = junk
    after, metrics, _ = update(before, trajectory, context)
    same = jax.tree.map(np.array_equal, (before.params, before.opt_state), (after.params, after.opt_state))
    assert all(jax.tree.leaves(same))
    assert (int(after.num_updates), int(after.num_skipped)) == (1, 1)
    assert float(metrics["learning/num_skipped"]) == 1.0
    # And the next good batch goes on.
    further, _, _ = update(after, *batch_of(2))
    assert int(further.num_updates) == 2
    assert not np.array_equal(further.params["head"]["kernel"], after.params["head"]["kernel"])


@pytest.fixture(scope="module")
def update_of_table() -> tuple[Callable, TrainState]:
    """A compiled update of the small transformer, and a state to begin with."""
    settings = LearningSettings()
    network = small_network()
    return make_update(network, group_relative, settings), moved(init_state(network, settings, jax.random.key(0)))


def test_missing_rewards_are_left_out_not_skipped(update_of_table: Callable) -> None:
    update, state = update_of_table
    trajectory, context = batch_of(3)
    trajectory.reward_agg_g[0, 1] = np.nan
    after, metrics, _ = update(state, trajectory, context)
    assert (int(after.num_updates), int(after.num_skipped)) == (1, 0)
    assert float(metrics["credit/counted_fraction"]) == pytest.approx(5 / 6)


def test_admission_settles_where_use_pays_for_the_penalty() -> None:
    """A table of 11 features used with probability 0, .1, ..., 1: with lambda / beta = .3 the threshold is at .3."""
    num_features, tasks, rollouts = 11, 8, 8
    usage = np.linspace(0.0, 1.0, num_features)
    settings = LearningSettings(sparsity_weight=0.15, temperature=1.0, learning_rate=0.03, weight_decay=0.0)
    network = table_network(num_features)
    update = make_update(network, scheme("usage_aware(usage_weight=0.5)"), settings)
    state = init_state(network, settings, jax.random.key(0))
    shape = (tasks, rollouts, 1, num_features)
    step = np.zeros((*shape, 3, num_features), np.float32)
    step[..., 1, :] = np.eye(num_features)
    context = DecisionContext(
        query_d=np.zeros((tasks, num_features), np.float32),
        key_gnd=np.zeros((tasks, rollouts, 1, num_features), np.float32),
        num_keys_gkt=np.zeros(shape, np.int32),
        step_gktsd=step,
    )
    template, _ = batch_of(0)
    everywhere, rng = np.ones(shape, bool), np.random.default_rng(0)
    averaged = np.zeros(num_features)
    for iteration in range(700):
        table = np.asarray(state.params["table"])
        action = rng.random(shape) < 1.0 / (1.0 + np.exp(-table))
        trajectory = replace(
            template,
            # Rewards that no decision influences, always positive.
            reward_agg_g=rng.uniform(0.5, 1.0, shape[:2]).astype(np.float32),
            reward_first_g=np.zeros(shape[:2], np.float32),
            runtime_g=np.ones(shape[:2], np.float32),
            finish_seconds_gk=np.ones(shape[:3], np.float32),
            action_gkt=action.astype(np.int32),
            behavior_log_prob_gkt=np.zeros(shape, np.float32),
            decision_seconds_gkt=np.zeros(shape, np.float32),
            used_gkt=action & (rng.random(shape) < usage),
            num_other_readers_gkt=np.zeros(shape, np.int32),
            first_pull_seconds_gkt=np.zeros(shape, np.float32),
            step_seconds_gkt=np.ones(shape, np.float32),
            step_mask_gkt=everywhere,
            decision_mask_gkt=everywhere,
            rollout_mask_g=np.ones(shape[:2], bool),
        )
        state, _, _ = update(state, trajectory, context)
        if iteration >= 500:
            averaged += 1.0 / (1.0 + np.exp(-table)) / 200
    assert (averaged[:2] < 0.1).all(), averaged  # usage 0 and .1
    assert averaged[2] < 0.35, averaged  # usage .2
    assert averaged[4] > 0.65, averaged  # usage .4
    assert (averaged[6:] > 0.9).all(), averaged


class LetterEncoder:
    """One-hot vectors f32[n, 4] by the text's first letter among a, b, c; other texts share the last place."""

    dim, name = D, "letter"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(D, dtype=np.float32)[["abc".find(text[:1]) % D if text else D - 1 for text in texts]]


def test_the_transformer_learns_from_its_own_decisions_to_admit_what_is_used() -> None:
    """Through the whole bridge: decide on texts, give credit, update. Summaries "a..." are used, "b..." never."""
    network = set_transformer(
        SetTransformerSettings(embedding_width=D, width=8, num_layers=1, num_heads=1, key_window=4)
    )
    settings = LearningSettings(sparsity_weight=0.1, learning_rate=0.01)
    state = init_state(network, settings, jax.random.key(1))
    update = make_update(network, scheme("usage_aware(usage_weight=0.5, first_weight=0)"), settings)
    deciding = DeciderSettings(temperature=settings.temperature, key_buckets=(4,))
    rollouts, steps = 4, 8
    summaries = ["a" if number % 2 else "b" for number in range(steps)]
    for iteration in range(50):
        decider = BatchedDecider(network, state.params, LetterEncoder(), deciding)
        requests = [
            AdmissionRequest(
                "question",
                ["c"] * (number % 3),
                Step(0, number, "WebSurfer", "c", "", "c", summary=summaries[number]),
                Coordinates(0, iteration, "task", rollout),
                0.0,
            )
            for rollout in range(rollouts)
            for number in range(steps)
        ]
        admissions = asyncio.run(_decide_all(decider, requests))
        shape = (1, rollouts, 1, steps)
        action = np.array([admission.action for admission in admissions]).reshape(shape)
        probability = np.array([admission.admit_probability for admission in admissions]).reshape(shape)
        trajectory = Trajectory(
            reward_agg_g=np.ones((1, rollouts), np.float32),
            reward_first_g=np.zeros((1, rollouts), np.float32),
            runtime_g=np.ones((1, rollouts), np.float32),
            finish_seconds_gk=np.ones((1, rollouts, 1), np.float32),
            action_gkt=action,
            behavior_log_prob_gkt=np.array([admission.log_prob for admission in admissions]).reshape(shape),
            decision_seconds_gkt=np.zeros(shape, np.float32),
            used_gkt=(action == 1) & (np.arange(steps) % 2 == 1),
            num_other_readers_gkt=np.zeros(shape, np.int32),
            first_pull_seconds_gkt=np.zeros(shape, np.float32),
            step_seconds_gkt=np.ones(shape, np.float32),
            step_mask_gkt=np.ones(shape, bool),
            decision_mask_gkt=np.ones(shape, bool),
            rollout_mask_g=np.ones((1, rollouts), bool),
        )
        encode = LetterEncoder().encode
        triplets = np.stack([encode(["c", summary, "c"]) for summary in summaries])
        context = DecisionContext(
            query_d=encode(["question"]),
            key_gnd=np.broadcast_to(encode(["c", "c"]), (1, rollouts, 2, D)),
            num_keys_gkt=np.broadcast_to(np.arange(steps) % 3, shape).astype(np.int32),
            step_gktsd=np.broadcast_to(triplets, (*shape, 3, D)),
        )
        state, metrics, _ = update(state, trajectory, context)
        # What was decided is what is learned from: the same distribution on both sides of the bridge.
        assert float(metrics["learning/behavior_gap"]) < 1e-5
    assert probability[..., 1::2].min() > 0.9
    assert probability[..., 0::2].max() < 0.1


async def _decide_all(decider: BatchedDecider, requests: list[AdmissionRequest]) -> list:
    for _ in requests:
        decider.rollout_started()
    return await asyncio.gather(*(decider.decide(request) for request in requests))


def test_a_decision_that_was_not_replayed_neither_earns_nor_pays() -> None:
    """With the same credit, the loss of what could be judged is the loss of a batch that has nothing else."""
    settings = LearningSettings(sparsity_weight=0.5, first_weight=0.0, entropy_weight=0.1)
    network, (trajectory, context) = table_network(D), batch_of(4)
    rng = np.random.default_rng(5)
    replayed = trajectory.decision_mask_gkt & (rng.random(trajectory.action_gkt.shape) < 0.5)
    rewards = np.where(replayed, rng.random(replayed.shape), np.nan).astype(np.float32)
    flipped = FlippedRollouts(rewards, np.full_like(rewards, np.nan), rewards)
    given, only = replace(trajectory, flipped=flipped), replace(trajectory, decision_mask_gkt=replayed, flipped=flipped)
    answered = answered_by(frozenset({"flipped"}), first_weight=0.0)
    assert answered is not None and answered_by(frozenset({"coalitions", "value_gkt"})) is None
    np.testing.assert_array_equal(answered(given), replayed)
    credit = scheme("difference_rewards(first_weight=0)")
    state = moved(init_state(network, settings, jax.random.key(0)))

    def metrics_of(group: Trajectory, **settled: object) -> np.ndarray:
        metrics = make_update(network, credit, settings, **settled)(state, group, context)[1]
        return np.array([metrics[f"learning/{name}"] for name in ("loss", "sparsity_loss", "gradient_norm")])

    expected = metrics_of(only)
    np.testing.assert_allclose(metrics_of(given, answered=answered), expected, rtol=1e-5)
    assert (np.abs(metrics_of(given) - expected) > 0.01).all()
    # Re-rollouts: one with a reward is enough.
    again = np.stack([rewards, np.full_like(rewards, np.nan)], axis=2)
    regrouped = replace(trajectory, regrouped=RegroupedRollouts(again, again))
    np.testing.assert_array_equal(answered_by(frozenset({"regrouped"}))(regrouped), replayed)
