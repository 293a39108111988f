"""The paper's controller over a tiny base: packed and cached decisions equal one forward each; the base is frozen."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.errors import UserError
from lts_jax.models.lora import LoraSettings, num_parameters
from lts_jax.models.policy_network import CachedDecision, Frozen, Joined
from lts_jax.models.qwen3 import Qwen3Settings, init_weights
from lts_jax.models.qwen3_controller import packed_layout, qwen3_controller
from lts_jax.models.qwen3_soft_tokens import ControllerSettings, Shape, context_visibility, init, step_tokens
from lts_jax.trajectory import ALIVE, DecisionContext

QWEN3 = Qwen3Settings(
    width=16, num_layers=2, num_heads=2, num_kv_heads=1, head_width=8, mlp_width=24, vocabulary_size=20
)
WIDTH, NUM_KEYS, TEAMS, STEPS = 12, 7, 2, 3
OWN = ControllerSettings(answer_ids=(3, 4), embedding_width=WIDTH, key_window=NUM_KEYS)


@pytest.fixture(scope="module", params=["paper", "cosines"])
def network(request):
    weights = jax.tree.map(lambda leaf: leaf * 2.0, init_weights(QWEN3, jax.random.key(0)))  # less linear
    own = replace(OWN, inputs=request.param)
    return qwen3_controller(own, QWEN3, LoraSettings(rank=2), Frozen(weights, "cafe" * 16))


@pytest.fixture(scope="module")
def params(network):
    """Trained parameters whose adapters do something."""
    fresh = network.init(jax.random.key(1))
    leaves, structure = jax.tree.flatten(fresh)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noisy = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, noisy)


@pytest.fixture(scope="module")
def compared(network):
    """Log-probability sums and gradients, of one forward a decision and of one a rollout, each compiled once."""

    def one_by_one(trained, frozen, context):
        group, teams, steps = context.num_keys_gkt.shape
        lead = (group, teams, steps)
        query = jnp.broadcast_to(context.query_d, (*lead, WIDTH))
        key = jnp.broadcast_to(context.key_gnd[:, None, None], (*lead, NUM_KEYS, WIDTH))
        return network.decision_logits(Joined(trained, frozen), query, key, context.num_keys_gkt, context.step_gktsd)

    def packed(trained, frozen, context):
        return network.packed_logits(Joined(trained, frozen), context)

    def with_gradient(logits_of):
        def loss(trained, frozen, context):
            log_prob = jax.nn.log_softmax(logits_of(trained, frozen, context))
            weights = jnp.arange(1.0, log_prob.size + 1).reshape(log_prob.shape)  # no two decisions alike
            return jnp.mean(weights * log_prob), log_prob

        return jax.jit(jax.value_and_grad(loss, has_aux=True))

    return with_gradient(one_by_one), with_gradient(packed)


def context_of(num_keys_gkt, seed):
    generator = np.random.default_rng(seed)

    def unit(*shape):
        drawn = generator.normal(size=shape)
        return jnp.asarray(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True), jnp.float32)

    groups = num_keys_gkt.shape[0]
    return DecisionContext(
        query_d=unit(WIDTH), key_gnd=unit(groups, NUM_KEYS, WIDTH), step_gktsd=unit(groups, TEAMS, STEPS, 3, WIDTH),
        num_keys_gkt=jnp.asarray(num_keys_gkt, jnp.int32),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, NUM_KEYS), min_size=2 * TEAMS * STEPS, max_size=2 * TEAMS * STEPS), st.integers(0, 2**16)
)
def test_one_forward_a_rollout_equals_one_a_decision_with_gradients(network, params, compared, counts, seed):
    context = context_of(np.array(counts).reshape(2, TEAMS, STEPS), seed)
    one_by_one, packed = compared
    (_, expected), gradient = one_by_one(params, network.frozen_arrays, context)
    (_, found), packed_gradient = packed(params, network.frozen_arrays, context)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    for ours, theirs in zip(jax.tree.leaves(packed_gradient), jax.tree.leaves(gradient), strict=True):
        # To 1e-5 of each number, and of the largest where terms cancel.
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


def test_the_layout_by_hand():
    # One rollout with two keys and two decisions: the first before any key, the second after one.
    position, visible = packed_layout(jnp.array([[0, 1]]), 2)
    assert position.tolist() == [[0, 1, 2, 1, 2, 3, 2, 3, 4]]
    assert visible[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 1, 1, 0, 0, 0, 0],
        [1, 0, 0, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 0, 1, 1, 1],
    ]


def test_a_cache_that_grows_key_by_key_decides_as_a_whole_forward(network, params):
    """Two rollouts side by side, keys coming at different times."""
    joined, capacity = Joined(params, network.frozen_arrays), NUM_KEYS
    generator = np.random.default_rng(0)
    query = generator.normal(size=(2, WIDTH)).astype(np.float32)
    keys = generator.normal(size=(2, capacity, WIDTH)).astype(np.float32)
    start, advance, whole = map(jax.jit, (network.cache.start, network.cache.step, network.decision_logits))
    cache = network.cache.empty(2, capacity)
    for row in range(2):
        cache = start(joined, cache, row, query[row], keys[row])
    held = np.zeros(2, np.int32)
    for has_new in ([True, False], [True, True], [False, True], [False, False], [True, True]):
        step = generator.normal(size=(2, 3, WIDTH)).astype(np.float32)
        new = np.stack([keys[row, held[row]] for row in range(2)])
        logits, made = advance(joined, cache, CachedDecision(held, new, np.array(has_new), step))
        cache = network.cache.append(cache, made, np.arange(2), held, np.array(has_new))
        held = held + np.array(has_new, np.int32)
        expected = whole(joined, query, keys, held, step)
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_newest_keys_of_a_long_bank_are_read(network, params):
    joined = Joined(params, network.frozen_arrays)
    context = context_of(np.zeros((1, TEAMS, STEPS)), 3)
    long = jnp.concatenate([context.key_gnd[0][:2] * -1.0, context.key_gnd[0]])  # two keys more than the window
    step = context.step_gktsd[0, 0, 0]
    whole = network.decision_logits(joined, context.query_d, long, jnp.int32(NUM_KEYS + 2), step)
    newest = network.decision_logits(joined, context.query_d, context.key_gnd[0], jnp.int32(NUM_KEYS), step)
    np.testing.assert_allclose(whole, newest, atol=1e-6)
    with pytest.raises(UserError, match="key_window: expected at least the 9 keys"):
        network.packed_logits(
            joined, DecisionContext(context.query_d, long[None], context.step_gktsd, context.num_keys_gkt)
        )


@pytest.fixture(scope="module", params=["paper", "cosines"])
def own_network(request):
    """Keys see the query and themselves, so that entries can end."""
    weights = jax.tree.map(lambda leaf: leaf * 2.0, init_weights(QWEN3, jax.random.key(0)))
    own = replace(OWN, inputs=request.param, key_visibility="own")
    return qwen3_controller(own, QWEN3, LoraSettings(rank=2), Frozen(weights, "cafe" * 16))


@pytest.fixture(scope="module")
def own_params(own_network):
    leaves, structure = jax.tree.flatten(own_network.init(jax.random.key(1)))
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noisy = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, noisy)


def with_lives(seed):
    """Two rollouts whose entries end at places of their own, some before all decisions and some never."""
    generator = np.random.default_rng(seed)
    context = context_of(generator.integers(0, NUM_KEYS + 1, (2, TEAMS, STEPS)), seed)
    died = generator.choice([0, 2, 3, 5, ALIVE], (2, NUM_KEYS))
    sequence = np.stack([generator.permutation(TEAMS * STEPS).reshape(TEAMS, STEPS) for _ in range(2)])
    return replace(context, died_gn=jnp.asarray(died, jnp.int32), sequence_gkt=jnp.asarray(sequence, jnp.int32))


def single_logits(network, params, context, alive):
    lead = context.num_keys_gkt.shape
    query = jnp.broadcast_to(context.query_d, (*lead, WIDTH))
    key = jnp.broadcast_to(context.key_gnd[:, None, None], (*lead, NUM_KEYS, WIDTH))
    joined = Joined(params, network.frozen_arrays)
    return network.living_logits(joined, query, key, context.num_keys_gkt, context.step_gktsd, alive)


@pytest.mark.parametrize("seed", range(3))
def test_with_lives_one_forward_a_rollout_equals_one_a_decision(own_network, own_params, seed):
    context = with_lives(seed)
    alive = context.died_gn[:, None, None] > context.sequence_gkt[..., None]
    assert bool(alive.any()) and not bool(alive.all())
    joined = Joined(own_params, own_network.frozen_arrays)
    found = jax.jit(own_network.packed_logits)(joined, context)
    np.testing.assert_allclose(found, single_logits(own_network, own_params, context, alive), atol=1e-5)
    # What an ended entry says makes no difference, and what a living one says does.
    ended = replace(context, key_gnd=jnp.where((context.died_gn == 0)[..., None], 9.0, context.key_gnd))
    np.testing.assert_allclose(own_network.packed_logits(joined, ended), found, atol=1e-5)
    living = replace(context, key_gnd=jnp.where((context.died_gn == ALIVE)[..., None], 9.0, context.key_gnd))
    assert np.abs(np.asarray(own_network.packed_logits(joined, living)) - np.asarray(found)).max() > 1e-3
    # Where nothing ends, lives change nothing.
    whole = replace(context, died_gn=jnp.full((2, NUM_KEYS), ALIVE, jnp.int32))
    without = replace(context, died_gn=None, sequence_gkt=None)
    np.testing.assert_allclose(
        own_network.packed_logits(joined, whole), own_network.packed_logits(joined, without), atol=1e-6
    )
    plain = own_network.decision_logits(
        joined, context.query_d, context.key_gnd[0], context.num_keys_gkt[0, 0, 0], context.step_gktsd[0, 0, 0]
    )
    np.testing.assert_allclose(plain, own_network.packed_logits(joined, without)[0, 0, 0], atol=1e-5)


def test_the_layout_of_keys_that_see_no_keys_by_hand():
    # Two keys, of which the first has ended for the second decision; both decisions come after both keys.
    own = Shape(replace(OWN, key_visibility="own"), QWEN3, LoraSettings(rank=2))
    alive = jnp.array([[[True, True], [False, True]]])
    position, visible = packed_layout(jnp.array([[2, 2]]), 2, 1, context_visibility(own, 3), alive)
    assert position.tolist() == [[0, 1, 2, 3, 3]]  # the ended key keeps its position
    assert visible[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 0, 1, 0, 1],
    ]


def test_a_cache_whose_keys_end_decides_as_a_whole_forward(own_network, own_params):
    joined = Joined(own_params, own_network.frozen_arrays)
    generator = np.random.default_rng(0)
    query = generator.normal(size=(2, WIDTH)).astype(np.float32)
    keys = generator.normal(size=(2, NUM_KEYS, WIDTH)).astype(np.float32)
    start, advance = jax.jit(own_network.cache.start), jax.jit(own_network.cache.step)
    whole = jax.jit(own_network.living_logits)
    cache = own_network.cache.empty(2, NUM_KEYS)
    for row in range(2):
        cache = start(joined, cache, row, query[row], keys[row])
    held, alive = np.zeros(2, np.int32), np.ones((2, NUM_KEYS), bool)
    ends = ([], [], [(0, 0)], [(1, 1)], [(0, 2)])  # the last is the key that comes with its decision
    for has_new, ended in zip(
        ([True, True], [True, False], [False, True], [True, True], [False, False]), ends, strict=True
    ):
        for row, key in ended:
            alive[row, key] = False
        step = generator.normal(size=(2, 3, WIDTH)).astype(np.float32)
        new = np.stack([keys[row, held[row]] for row in range(2)])
        decision = CachedDecision(held, new, np.array(has_new), step, alive)
        logits, made = advance(joined, cache, decision)
        cache = own_network.cache.append(cache, made, np.arange(2), held, np.array(has_new))
        held = held + np.array(has_new, np.int32)
        np.testing.assert_allclose(logits, whole(joined, query, keys, held, step, alive), atol=1e-5)
    alive[:, held[0]] = False  # a new key that has ended by the time it is read
    step, new = np.ones((2, 3, WIDTH), np.float32), np.stack([keys[row, held[row]] for row in range(2)])
    logits, _ = advance(joined, cache, CachedDecision(held, new, np.array([True, True]), step, alive))
    np.testing.assert_allclose(logits, whole(joined, query, keys, held + 1, step, alive), atol=1e-5)


def test_causal_keys_are_refused_by_name_where_entries_end(network, params):
    told = 'qwen3.key_visibility: expected "own" for a memory that is edited, got "causal"'
    with pytest.raises(UserError, match=told):
        network.packed_logits(Joined(params, network.frozen_arrays), with_lives(0))
    assert not network.knows_lives and network.living_logits is None


def test_the_base_is_an_argument_and_no_parameter(network, params):
    step, keys = jnp.ones((3, WIDTH)), jnp.ones((NUM_KEYS, WIDTH))

    def logits(trained, frozen):
        return network.decision_logits(network.join(trained, frozen), step[0], keys, jnp.int32(2), step)

    program = jax.make_jaxpr(logits)(params, network.frozen_arrays)
    assert sum(np.size(constant) for constant in program.consts) < QWEN3.width * 8  # no weights among them
    # Adapters on q, k, v, o of two layers, and three maps of 12 x 16.
    adapters = 2 * 2 * ((16 + 16) + (16 + 8) + (16 + 8) + (16 + 16))
    cosines = 3 * QWEN3.width if network.name.endswith("_cosines") else 0
    assert num_parameters(network.init(jax.random.key(0))) == adapters + 3 * WIDTH * QWEN3.width + cosines
    with pytest.raises(ValueError, match="expected the frozen arrays of its base"):
        network.join(params)


def test_one_more_soft_token_says_how_near_the_step_is_to_the_keys():
    """Two banks, alike but for a key that repeats the summary: the cosines are the token, after the keys."""
    shape = Shape(replace(OWN, inputs="cosines"), QWEN3, LoraSettings(rank=2))
    fresh = init(shape, jax.random.key(5))
    paper = init(replace(shape, controller=OWN), jax.random.key(5))
    assert (fresh["projections"]["step"]["kernel"] == paper["projections"]["step"]["kernel"]).all()
    eye = jnp.eye(WIDTH)
    step, keys = eye[None, None, :3], jnp.stack([eye[3], eye[1]])[None]
    tokens = step_tokens(shape, Joined(fresh, None), keys, jnp.array([[[True, False]]]), step)
    assert tokens.shape == (1, 4, QWEN3.width)
    assert (tokens[0, 0] == 0.0).all()  # the repeated key is not seen: no cosine is above 0
    seen = step_tokens(shape, Joined(fresh, None), keys, jnp.array([[[True, True]]]), step)
    np.testing.assert_allclose(seen[0, 0], fresh["projections"]["cosines"]["kernel"][1], atol=1e-6)
    np.testing.assert_array_equal(seen[0, 1:], tokens[0, 1:])


def test_sizes_of_the_papers_controller():
    paper = Qwen3Settings()
    network = qwen3_controller(ControllerSettings((1, 2)), paper, LoraSettings(), Frozen(None, "0" * 64))
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    assert num_parameters(shapes["adapters"]) == 4_587_520
    assert num_parameters(shapes["projections"]) == 3_145_728


def test_what_cannot_be_built_is_refused():
    frozen = Frozen(None, "0" * 64)
    with pytest.raises(UserError, match=r"dropout: expected 0 for a controller, got 0\.1"):
        qwen3_controller(OWN, QWEN3, LoraSettings(dropout=0.1), frozen)
    with pytest.raises(UserError, match="expected tokens below 20"):
        qwen3_controller(ControllerSettings(answer_ids=(3, 20)), QWEN3, LoraSettings(), frozen)
    with pytest.raises(UserError, match="expected two different tokens"):
        ControllerSettings(answer_ids=(3, 3))
    with pytest.raises(UserError, match='inputs: expected "cosines" or "paper"'):
        replace(OWN, inputs="all")
    with pytest.raises(UserError, match='key_visibility: expected "causal" or "own", got \'all\''):
        replace(OWN, key_visibility="all")
