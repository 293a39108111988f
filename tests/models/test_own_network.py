"""A network of one's own: a Flax module or a function, tried before it trains, equal however it is asked."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lts_jax.errors import UserError
from lts_jax.models.networks import make_network
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.trajectory import DecisionContext

D = 8


class Mean(nnx.Module):
    """Admits by the step and the mean of the keys there are."""

    key_window = 4

    def __init__(self, embedding_width: int, *, hidden: int = 4, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(4 * embedding_width, hidden, rngs=rngs)
        self.outer = nnx.Linear(hidden, 2, rngs=rngs)

    def __call__(self, query, keys, num_keys, step):
        is_key = jnp.arange(keys.shape[0]) < num_keys
        mean = jnp.where(is_key[:, None], keys, 0.0).sum(0) / jnp.maximum(num_keys, 1)
        return self.outer(nnx.relu(self.inner(jnp.concatenate([mean, step.reshape(-1)]))))


class Scalar(Mean):
    def __call__(self, query, keys, num_keys, step):
        return super().__call__(query, keys, num_keys, step)[0]


class Padded(Mean):
    def __call__(self, query, keys, num_keys, step):
        return super().__call__(query, keys, num_keys, step) + keys.sum()


class Dropping(Mean):
    def __init__(self, embedding_width: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(embedding_width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


def nothing(embedding_width: int) -> int:
    return 3


def broken(embedding_width: int) -> PolicyNetwork:
    raise RuntimeError("no weights here")


def context_of(draw: np.random.Generator, num_keys: list[int]) -> DecisionContext:
    arrays = [draw.standard_normal(shape) for shape in ((D,), (1, 6, D), (1, 1, len(num_keys), 3, D))]
    query, keys, steps = (jnp.asarray(array, jnp.float32) for array in arrays)
    return DecisionContext(query, keys, jnp.asarray([[num_keys]], jnp.int32), steps)


def test_a_module_is_a_network_whose_packed_logits_are_its_single_ones():
    network = make_network(Mean, embedding_width=D)
    params = network.init(jax.random.key(3))
    context = context_of(np.random.default_rng(0), [0, 3, 6])  # of 6 keys the newest 4 are seen
    packed = network.packed_logits(params, context)
    chex.assert_shape(packed, (1, 1, 3, 2))
    module = Mean(D, rngs=nnx.Rngs(jax.random.key(3)))
    for step, keys in enumerate((context.key_gnd[0, :0], context.key_gnd[0, :3], context.key_gnd[0, 2:])):
        expected = module(
            context.query_d, keys if len(keys) else jnp.zeros((1, D)), len(keys), context.step_gktsd[0, 0, step]
        )
        np.testing.assert_allclose(packed[0, 0, step], expected, atol=1e-5)
    chex.assert_trees_all_equal(params, network.init(jax.random.key(3)))
    batched = DecisionContext(*(jnp.stack([leaf, leaf]) for leaf in jax.tree.leaves(context)))
    np.testing.assert_allclose(network.packed_logits(params, batched)[1], packed, atol=1e-6)


def test_a_finished_module_starts_from_its_own_parameters():
    module = Mean(D, rngs=nnx.Rngs(5))
    network = make_network(module, embedding_width=D)
    chex.assert_trees_all_equal(network.init(jax.random.key(0)), network.init(jax.random.key(1)))
    np.testing.assert_array_equal(network.init(jax.random.key(0))["outer"]["kernel"], module.outer.kernel[...])


def test_a_text_names_ours_and_equal_texts_the_same_object():
    named = make_network("set_transformer(width=16, num_heads=2)", embedding_width=D)
    assert named is make_network("set_transformer( num_heads = 2, width=16)", embedding_width=D)
    assert named is set_transformer(SetTransformerSettings(embedding_width=D, width=16, num_heads=2))


def test_a_file_names_a_class(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "from flax import nnx\n"
        "class Mine(nnx.Module):\n"
        "    def __init__(self, embedding_width, *, hidden=4, rngs):\n"
        "        self.out = nnx.Linear(3 * embedding_width, 2, rngs=rngs)\n"
        "        self.hidden = hidden\n"
        "    def __call__(self, query, keys, num_keys, step):\n"
        "        return self.out(step.reshape(-1))\n"
    )
    network = make_network(f"{file}:Mine(hidden=7)", embedding_width=D)
    assert network.name == f"{file}:Mine(hidden=7)"
    with pytest.raises(UserError, match="Mine has no setting 'depth'; it takes hidden"):
        make_network(f"{file}:Mine(depth=7)", embedding_width=D)


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (Scalar, r"Scalar: packed_logits: expected float32\[2, 2, 3, actions\].*, got float32\[2, 2, 3\]"),
        (Padded, "Padded: its logits change with the padding behind the keys"),
        (Dropping, "Dropping has state beside its parameters"),
        (nothing, "nothing gives a value of type int, expected a PolicyNetwork or a Flax module"),
        (broken, "broken: making it raises RuntimeError: no weights here"),
        ("set_transformer(width=6)", "controller: set_transformer: width: expected a multiple of num_heads = 4, got 6"),
    ],
)
def test_a_network_that_would_spoil_training_is_refused(network, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        make_network(network, embedding_width=D)
    assert "\n" not in str(caught.value)
