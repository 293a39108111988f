"""The edges of an update: shapes and dtypes that do not fit are named, one trace serves every batch of one shape."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from lts_jax.credit.contract import per_decision
from lts_jax.credit.reinforce import reinforce
from lts_jax.learning import losses
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import Learner, make_update, update_once
from lts_jax.models.pooled import PooledSettings, pooled
from lts_jax.trajectory import DecisionContext, Trajectory

B, G, K, T, N, D = 2, 3, 2, 4, 6, 8
NETWORK = pooled(PooledSettings(embedding_width=D, hidden_width=4))


def batch_of(seed: int) -> tuple[Trajectory, DecisionContext]:
    keys = iter(jax.random.split(jax.random.key(seed), 8))
    lead, decided = (B, G, K, T), jnp.ones((B, G, K, T), bool)
    action = jax.random.bernoulli(next(keys), 0.5, lead).astype(jnp.int32)
    trajectory = Trajectory(
        reward_agg_g=jax.random.uniform(next(keys), (B, G)),
        reward_first_g=jax.random.uniform(next(keys), (B, G)),
        runtime_g=jnp.full((B, G), 60.0),
        finish_seconds_gk=jnp.full((B, G, K), 50.0),
        action_gkt=action,
        behavior_log_prob_gkt=jnp.full(lead, -0.7),
        decision_seconds_gkt=jnp.ones(lead),
        used_gkt=action == 1,
        num_other_readers_gkt=action,
        first_pull_seconds_gkt=jnp.full(lead, 3.0),
        step_seconds_gkt=jnp.full(lead, 8.0),
        step_mask_gkt=decided,
        decision_mask_gkt=decided,
        rollout_mask_g=jnp.ones((B, G), bool),
    )
    context = DecisionContext(
        query_d=jax.random.normal(next(keys), (B, D)),
        key_gnd=jax.random.normal(next(keys), (B, G, N, D)),
        num_keys_gkt=jnp.full(lead, 3, jnp.int32),
        step_gktsd=jax.random.normal(next(keys), (*lead, 3, D)),
    )
    return trajectory, context


def test_an_update_gives_the_credit_it_was_taken_with_and_is_traced_once() -> None:
    chex.clear_trace_counter()
    learner = Learner(NETWORK, reinforce, LearningSettings())
    update = jax.jit(chex.assert_max_traces(lambda *arrays: update_once(learner, *arrays), n=1))
    state = init_state(NETWORK, LearningSettings(), jax.random.key(0))
    for seed in range(3):
        trajectory, context = batch_of(seed)
        state, _, credit = update(state, trajectory, context)
        chex.assert_trees_all_close(credit, jax.vmap(reinforce)(trajectory), atol=1e-6)
    assert int(state.num_updates) == 3


def test_an_optimiser_of_ones_own_sees_the_parameters_as_they_are() -> None:
    seen = []

    def look(params):
        seen.append(jax.tree.structure(params))
        return optax.EmptyState()

    own = optax.chain(
        optax.GradientTransformation(look, lambda grads, state, params=None: (grads, state)), optax.sgd(0.5)
    )
    state = init_state(NETWORK, LearningSettings(), jax.random.key(0), own)
    assert seen == [jax.tree.structure(state.params)]
    batch = batch_of(0)
    new, metrics, _ = make_update(NETWORK, reinforce, LearningSettings(), optimizer=own)(state, *batch)
    change = jax.tree.map(lambda after, before: after - before, new.params, state.params)
    norm = optax.tree.norm(change)  # plain gradient descent: the change is the learning rate times the gradient
    assert float(norm) == pytest.approx(0.5 * float(metrics["learning/gradient_norm"]), rel=1e-4)


def test_what_does_not_fit_is_named() -> None:
    log_probs, action = jnp.zeros((G, K, T, 2)), jnp.zeros((G, K, T), jnp.int32)
    with pytest.raises(AssertionError):
        losses.policy_gradient_loss(log_probs, action, jnp.zeros((G, K)))
    with pytest.raises(AssertionError):
        losses.policy_gradient_loss(log_probs, action.astype(jnp.float32), jnp.zeros((G, K, T)))
    trajectory = jax.tree.map(lambda leaf: leaf[0], batch_of(0)[0])
    with pytest.raises(AssertionError):
        per_decision(jnp.zeros((G, K)), trajectory, trajectory.rollout_mask_g)
