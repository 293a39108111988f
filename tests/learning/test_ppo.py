"""PPO by hand, against a loop, and what it does where something is not finite."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.learning.ppo import PpoSettings, Steps, advantages, init_ppo, ppo_loss, ppo_update
from lts_jax.models.shared_memory import CoreSettings, actor_critic

SMALL = PpoSettings(num_environments=8, rollout_steps=4)
NETWORK = actor_critic(CoreSettings("empty", width=4, num_heads=1), (3,), 3, 2)


def steps_of(seed=0, num_agents=2, num_episodes=8, num_steps=4):
    """Steps of some random life, flat observations of three numbers and three actions."""
    shape = (num_steps, num_agents, num_episodes)
    key_p = jax.random.split(jax.random.key(seed), 8)
    return Steps(
        carry=NETWORK.start(num_episodes),
        observation_tieo=jax.random.normal(key_p[0], (*shape, 3)),
        begins_te=jnp.zeros((num_steps, num_episodes), bool),
        active_tie=jax.random.bernoulli(key_p[1], 0.8, shape),
        legal_taie=jnp.ones((num_steps, 3, num_agents, num_episodes), bool).at[:, 2, 0].set(False),
        action_tie=jax.random.randint(key_p[2], shape, 0, 2),
        log_prob_tie=-jax.random.uniform(key_p[3], shape),
        value_tie=jax.random.normal(key_p[4], shape),
        reward_tie=jax.random.normal(key_p[5], shape),
        done_tie=jax.random.bernoulli(key_p[6], 0.2, shape),
        truncated_te=jnp.zeros((num_steps, num_episodes), bool),
        last_value_ie=jax.random.normal(key_p[7], shape[1:]),
    )


def test_advantages_of_four_steps_by_hand():
    """gamma = lambda = 1/2, values 1, 2, 0, 4, rewards 0, 1, 0, 2, the last value 8; done after the second step.

    delta = 0 + 2/2 - 1 = 0;  1 - 2 = -1;  0 + 4/2 - 0 = 2;  2 + 8/2 - 4 = 2
    A_4 = 2, A_3 = 2 + 2/4 = 5/2, A_2 = -1 (it ends there), A_1 = 0 - 1/4
    Cut off by time after the second step, the value before it, 2, stands for what follows: delta_2 = 1 + 2/2 - 2 = 0.
    """
    one = {name: jnp.asarray(values, jnp.float32).reshape(4, 1, 1) for name, values in
           {"value_tie": [1, 2, 0, 4], "reward_tie": [0, 1, 0, 2]}.items()}  # fmt: skip
    done = jnp.asarray([False, True, False, False]).reshape(4, 1, 1)
    steps = replace(
        steps_of(num_agents=1, num_episodes=1),
        **one,
        done_tie=done,
        active_tie=jnp.ones((4, 1, 1), bool),
        last_value_ie=jnp.full((1, 1), 8.0),
    )
    settings = PpoSettings(discount=0.5, gae_weight=0.5)
    advantage, target = advantages(settings, steps)
    np.testing.assert_allclose(advantage[:, 0, 0], [-0.25, -1.0, 2.5, 2.0])
    np.testing.assert_allclose(target[:, 0, 0], [0.75, 1.0, 2.5, 6.0])
    late = replace(steps, truncated_te=done[:, 0])
    np.testing.assert_allclose(advantages(settings, late)[0][:, 0, 0], [0.0, 0.0, 2.5, 2.0])


def test_the_loss_equals_a_loop():
    steps = steps_of()
    params = NETWORK.init(jax.random.key(3))
    advantage, target = jax.random.normal(jax.random.key(1), (2, 4, 2, 8))
    settings = PpoSettings(clip=0.1, entropy_weight=0.3, value_weight=0.7)
    logits, values = NETWORK.unroll(params, steps.carry, steps.observation_tieo, steps.begins_te, steps.active_tie)
    total, number = 0.0, 0
    for t, i, e in np.ndindex(4, 2, 8):
        if not steps.active_tie[t, i, e]:
            continue
        legal = np.asarray(steps.legal_taie[t, :, i, e])
        logit = np.where(legal, np.asarray(logits[t, :, i, e], float), -np.inf)
        probability = np.exp(logit - logit.max()) / np.exp(logit - logit.max()).sum()
        ratio = probability[steps.action_tie[t, i, e]] / np.exp(steps.log_prob_tie[t, i, e])
        worth = float(advantage[t, i, e])
        gain = min(ratio * worth, np.clip(ratio, 0.9, 1.1) * worth)
        spread = -sum(p * np.log(p) for p in probability if p > 0)
        total += -gain + 0.7 * (values[t, i, e] - target[t, i, e]) ** 2 - 0.3 * spread
        number += 1
    loss, _ = ppo_loss(NETWORK, settings, params, steps, advantage, target)
    np.testing.assert_allclose(loss, total / number, rtol=1e-4)


@pytest.fixture(scope="module")
def update():
    """The compiled update of two epochs of two minibatches."""
    settings = replace(SMALL, num_epochs=2, num_minibatches=2)
    return jax.jit(partial(ppo_update, NETWORK, settings)), jax.jit(partial(init_ppo, NETWORK, settings))(
        jax.random.key(0)
    )


def test_what_is_not_finite_changes_nothing_and_is_counted(update):
    step, state = update
    after, _ = step(state, steps_of())
    assert (int(after.num_updates), int(after.num_skipped)) == (4, 0)
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.any(a != b)), after.params, state.params)))
    broken = replace(steps_of(), reward_tie=steps_of().reward_tie.at[0, 0, 0].set(jnp.nan))
    same, _ = step(state, broken)
    jax.tree.map(np.testing.assert_array_equal, same.params, state.params)
    jax.tree.map(np.testing.assert_array_equal, same.opt_state, state.opt_state)
    assert (int(same.num_updates), int(same.num_skipped)) == (0, 4) and same.learning_rate == state.learning_rate


def test_the_rate_follows_how_far_the_policy_moves():
    for target, factor in ((1e3, 2.0), (1e-9, 0.5)):
        settings = replace(SMALL, kl_target=target, learning_rate=1e-3)
        state = init_ppo(NETWORK, settings, jax.random.key(0))
        after, _ = jax.jit(partial(ppo_update, NETWORK, settings))(state, steps_of())
        np.testing.assert_allclose(after.learning_rate, 1e-3 * factor)


def test_more_loss_of_zero_changes_no_bit(update):
    """What others add to the loss: with weight 0 it is the plain update."""
    _, state = update
    plain, _ = jax.jit(partial(ppo_update, NETWORK, SMALL))(state, steps_of())

    def nothing(params):
        return 0.0 * jnp.sum(params["policy"]["weight"])

    more, _ = jax.jit(partial(ppo_update, NETWORK, SMALL, more_loss=nothing))(state, steps_of())
    jax.tree.map(np.testing.assert_array_equal, plain.params, more.params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip": 0.0}, "ppo.clip: expected more than 0"),
        ({"discount": 1.5}, "ppo.discount: expected from 0 to 1"),
        ({"num_minibatches": 3}, "ppo.num_minibatches: expected a divisor of 128"),
        ({"rollout_steps": 0}, "ppo.rollout_steps: expected at least 1"),
        ({"entropy_weight": -1.0}, "ppo.entropy_weight: expected at least 0"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        PpoSettings(**changes)
