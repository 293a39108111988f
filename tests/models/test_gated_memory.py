"""A pool of entries by hand, and a core with gates: what it remembers for how long, and what it is with gates shut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.gated_memory import NUM_TOLD, Told, entry_width, gated_actor_critic
from lts_jax.models.memory_pool import Pool, admitted, cleared, empty_pool, nearest
from lts_jax.models.shared_memory import CoreSettings, actor_critic

SMALL = CoreSettings(width=8, num_heads=2, num_filters=2, history=2, unroll=4)
T, I, E = 6, 2, 3  # noqa: E741  the letter of agents


def entries_of(*columns):
    """f32[F, I, 1] of the entries of agents."""
    return jnp.asarray(columns, jnp.float32).T[:, :, None]


def test_a_pool_by_hand():
    """Two agents, three places: entries 1 and 2 are written, 3 alone, then 4 and 5 in the places of 1 and 2."""
    pool = empty_pool(2, 3, 1)
    for numbers, writes in (((1, 2), (1, 1)), ((3, 9), (1, 0)), ((9, 9), (0, 0)), ((4, 5), (1, 1))):
        entry_fie = entries_of(*((number, -number) for number in numbers))
        pool = admitted(pool, entry_fie, jnp.asarray(writes)[:, None] > 0)
    assert pool.entry_fne[:, :, 0].tolist() == [[4, 5, 3], [-4, -5, -3]] and pool.num_written_e.tolist() == [5]
    assert cleared(pool, jnp.asarray([False])).num_written_e.tolist() == [5]
    empty = cleared(pool, jnp.asarray([True]))
    assert empty.num_written_e.tolist() == [0] and not empty.entry_fne.any()


def test_the_nearest_by_hand():
    """Keys (1, 0), (3, 3), (0, -1), (0, 2) and one that was never written; the last number is no part of a key."""
    entry_fn = jnp.asarray([[1, 3, 0, 0, 5], [0, 3, -1, 2, 5], [7, 7, 8, 9, 9]], jnp.float32)
    pool = Pool(entry_fn[:, :, None], jnp.asarray([4]))
    query_fie = entries_of((2, 1), (0, 1))  # cosines .89, .95, -.45, .45, and 0, .71, -1, 1
    found_fjie, there_jie = nearest(pool, query_fie, 2)
    assert found_fjie[:, :, 0, 0].T.tolist() == [[3, 3, 7], [1, 0, 7]]
    assert found_fjie[:, :, 1, 0].T.tolist() == [[0, 2, 9], [3, 3, 7]]
    assert there_jie.all()
    found_fjie, there_jie = nearest(pool._replace(num_written_e=jnp.asarray([1])), query_fie, 2)
    assert there_jie[:, :, 0].tolist() == [[True, True], [False, False]]
    assert found_fjie[:, 0, 0, 0].tolist() == [1, 0, 7] and not found_fjie[:, 1].any()


@pytest.fixture(scope="module")
def gated():
    """The network, parameters off their small first values, and its programs."""
    made = gated_actor_critic(SMALL, (3, 5, 5), 5, I, 4)
    leaves, tree = jax.tree.flatten(jax.jit(made.init)(jax.random.key(0)))
    key_p = jax.random.split(jax.random.key(5), len(leaves))
    moved = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, key_p, strict=True)]
    return made, jax.tree.unflatten(tree, moved), jax.jit(made.unroll), jax.jit(made.step)


def lived(**told):
    """Observations of T steps: an episode begins at step 3 of the first group; what agents are told, or zeros."""
    seen = jax.random.normal(jax.random.key(1), (T, I, E, 75))
    begins = jnp.zeros((T, I, E)).at[0].set(1.0).at[3, :, 0].set(1.0)
    given = {name: jnp.zeros((T, I, E)) for name in Told._fields} | {"begins": begins} | told
    return jnp.concatenate([seen, jnp.stack([given[name] for name in Told._fields], axis=-1)], axis=-1)


BLOCK = jnp.zeros((T, E), bool).at[0].set(True)
ALL, ONES = jnp.ones((T, I, E), bool), jnp.ones((T, I, E))


def test_an_unroll_is_a_step_again_and_again(gated):
    made, params, unroll, step = gated
    told = {
        name: (jax.random.uniform(jax.random.key(9 + n), (T, I, E)) < 0.6) * 1.0 for n, name in enumerate(Told._fields)
    }
    seen = lived(**{name: value for name, value in told.items() if name != "begins"})
    logits, values = unroll(params, made.start(E), seen, BLOCK, ALL)
    carry = made.start(E)
    for time in range(T):
        carry, logit, value = step(params, carry, seen[time], BLOCK[time], ALL[time])
        np.testing.assert_allclose(logits[time], logit, atol=1e-5)
        np.testing.assert_allclose(values[time], value, atol=1e-5)
    parts = logits.reshape(T, 5, 2, 4, I, E)  # of a move, a write and a gate
    parts = parts - parts[:, :1] - parts[:, :, :1] + parts[:, :1, :1]
    np.testing.assert_allclose(parts, 0.0, atol=1e-5)


@pytest.mark.parametrize(("core", "reads"), [("rmt", 0.0), ("srmt", 1.0)])
def test_with_gates_shut_it_is_rmt_and_open_for_memories_srmt(gated, core, reads):
    """With the same parameters: the heads' first five numbers are the other's."""
    made, params, unroll, _ = gated
    plain = actor_critic(CoreSettings(core, 8, 2, 2, history=2, unroll=4), (3, 5, 5), 11, I)
    seen = lived(reads_latent=reads * ONES, reads_pool=0 * ONES, writes=ONES)
    begins = seen[:, 0, :, 75] > 0
    logits, values = unroll(params, made.start(E), seen, BLOCK, ALL)
    same = {name: value for name, value in params.items() if name != "entry"}
    right, right_values = jax.jit(plain.unroll)(same, plain.start(E), seen[..., :75], begins, ALL)
    np.testing.assert_allclose(values, right_values, atol=1e-5)
    summed = right[:, :5, None, None] + right[:, None, 5:7, None] + right[:, None, None, 7:]
    np.testing.assert_allclose(logits, summed.reshape(T, 40, I, E), atol=1e-5)


def test_the_pool_outlives_the_episode_and_not_the_block(gated):
    """Agent 1 writes what it saw at step 0; agent 0 reads it at step 3, where an episode begins, or a block does."""
    made, params, unroll, _ = gated
    writes = jnp.zeros((T, I, E)).at[1, 1].set(1.0)
    seen = lived(writes=writes, reads_pool=ONES)
    other = seen.at[0, 1, :, :75].add(1.0)
    block = BLOCK.at[3, 1].set(True)
    one, two = (unroll(params, made.start(E), some, block, ALL)[0][3, :, 0] for some in (seen, other))
    changes = jnp.abs(one - two).max(axis=0)
    assert changes[0] > 1e-4 and changes[1] == 0.0  # a group whose episode began, and one whose block did
    shut = lived(writes=writes)
    one, two = (
        unroll(params, made.start(E), some, block, ALL)[0][3, :, 0, 0] for some in (shut, shut + (other - seen))
    )
    np.testing.assert_array_equal(one, two)


def test_an_entry_is_a_constant_to_the_gradient(gated):
    """What agent 1 saw reaches agent 0 through the pool, and no gradient goes back to it; the reader is trained."""
    made, params, *_ = gated
    writes = jnp.zeros((T, I, E)).at[1, 1].set(1.0)

    def told_at_three(params, seen):
        return jnp.sum(made.unroll(params, made.start(E), seen, BLOCK, ALL)[0][2, :, 0] ** 2)

    slope, seen_slope = jax.jit(jax.grad(told_at_three, (0, 1)))(params, lived(writes=writes, reads_pool=ONES))
    assert jnp.any(slope["entry"]["weight"] != 0) and not seen_slope[:, 1].any()


def test_sizes_and_what_cannot_be_meant():
    assert entry_width(SMALL) == 11 and NUM_TOLD == 8
    with pytest.raises(UserError, match="core: expected srmt, whose memories are read, got 'gru'"):
        gated_actor_critic(CoreSettings("gru"), (3, 5, 5), 5, 2, 8)
    with pytest.raises(UserError, match="num_entries: expected at least 2, got 1"):
        gated_actor_critic(SMALL, (3, 5, 5), 5, 2, 1)
