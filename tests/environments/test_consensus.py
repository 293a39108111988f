"""The game of agreement by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.consensus import ConsensusState, consensus
from lts_jax.environments.stepping import begin_all
from lts_jax.errors import UserError

acted = jax.jit(lambda shape, *rest: consensus().act(shape, *rest), static_argnums=0)
looked = jax.jit(lambda shape, *rest: consensus().look(shape, *rest), static_argnums=0)


def state_of(bits, time=0, symbols=(0, 0, 0), votes=(0, 0, 0)):
    """A state with these bits."""
    return ConsensusState(
        jnp.asarray(bits) > 0, jnp.asarray(votes) > 0, jnp.asarray(symbols, jnp.int32), jnp.asarray(time)
    )


def test_a_game_by_hand():
    """Bits 1, 0, 1: all should vote 1. An action is vote * 8 + symbol."""
    world = consensus(limit=4)
    seed_w = jnp.zeros(2, jnp.uint32)
    state, outcome = acted(world.shape, world.params, state_of([1, 0, 1]), jnp.asarray([8 + 3, 5, 8]), seed_w)
    np.testing.assert_allclose(outcome.reward_i, [-0.1] * 3)
    assert not outcome.is_over and state.symbol_i.tolist() == [3, 5, 0] and state.vote_i.tolist() == [True, False, True]
    state, outcome = acted(world.shape, world.params, state, jnp.asarray([8, 8, 0]), seed_w)
    assert not outcome.is_over and float(outcome.measures["steps"]) == 2.0
    _, wrong = acted(world.shape, world.params, state, jnp.asarray([0, 1, 2]), seed_w)
    assert wrong.is_over and not wrong.is_truncated
    np.testing.assert_allclose(wrong.reward_i, [-1.0] * 3)
    assert {name: float(value) for name, value in wrong.measures.items()} == {"agreed": 0.0, "steps": 4.0}
    _, right = acted(world.shape, world.params, state, jnp.asarray([8, 9, 15]), seed_w)
    assert right.is_over and not right.is_truncated and right.done_i.all()
    np.testing.assert_allclose(right.reward_i, [1.0] * 3)
    assert {name: float(value) for name, value in right.measures.items()} == {"agreed": 1.0, "steps": 3.0}
    _, late = acted(world.shape, world.params, state_of([1, 0, 1], time=3), jnp.asarray([0, 8, 0]), seed_w)
    assert late.is_over and late.is_truncated and float(late.measures["agreed"]) == 0.0
    np.testing.assert_allclose(late.reward_i, [-0.1] * 3)


def test_what_is_seen_of_others_are_their_last_symbols():
    """Own bit, own vote, whether it is the first step; then the next agent's symbol and that of the one after it."""
    world = consensus()
    first = looked(world.shape, world.params, state_of([1, 0, 1]))
    np.testing.assert_array_equal(first.observation_io[:, :3], [[1, 0, 1], [-1, 0, 1], [1, 0, 1]])
    assert not first.observation_io[:, 3:].any() and first.legal_ia.all()
    state = state_of([1, 0, 1], time=1, symbols=(3, 5, 0), votes=(1, 0, 1))
    seen = looked(world.shape, world.params, state)
    np.testing.assert_array_equal(seen.observation_io[:, :3], [[1, 1, 0], [-1, -1, 0], [1, 1, 0]])
    heard = np.asarray(seen.observation_io[:, 3:]).reshape(3, 2, 8)
    assert (heard.sum(axis=2) == 1).all() and heard.argmax(axis=2).tolist() == [[5, 0], [0, 3], [3, 5]]
    mute = consensus(shows_symbols=False)
    seen = looked(mute.shape, mute.params, state)
    assert not seen.observation_io[:, 3:].any() and np.flatnonzero(seen.legal_ia[0]).tolist() == [0, 8]


def test_bits_are_noisy_copies_of_a_fair_coin():
    """All three alike with .7^3 + .3^3 = .37 at a noise of .3; always without noise."""
    seed_ew = jax.random.bits(jax.random.key(0), (4000, 2), jnp.uint32)
    for noise, share in ((0.3, 0.37), (0.0, 1.0)):
        bits = np.asarray(begin_all(consensus(noise=noise), seed_ew).bit_i)
        assert abs((bits.all(axis=1) | ~bits.any(axis=1)).mean() - share) < 0.03
        assert abs(bits.mean() - 0.5) < 0.03


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_agents": 4}, "num_agents: expected an odd number of at least 3, got 4"),
        ({"num_symbols": 1}, "num_symbols: expected at least 2, got 1"),
        ({"noise": 0.7}, "noise: expected from 0 to 0.5, got 0.7"),
        ({"limit": 0}, "limit: expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        consensus(**changes)
