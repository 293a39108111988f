"""Qwen3 against `transformers` on tiny random checkpoints: every block and the logits, paddings, lengths, rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.models.qwen3 import Qwen3Settings, settings_from_json, with_weights
from lts_jax.models.weights import load_weights, save_weights

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHAPES = {
    "grouped heads, tied": {"num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 1e6},
    "one kv head, untied": {"num_attention_heads": 8, "num_key_value_heads": 1, "rope_theta": 1e4, "tied": False},
    "as many kv heads, wide": {"num_attention_heads": 4, "num_key_value_heads": 4, "rope_theta": 1e6, "head_dim": 24},
    "narrow heads, small theta": {"num_attention_heads": 2, "num_key_value_heads": 1, "rope_theta": 1e4, "head_dim": 6},
}


def random_checkpoint(folder, *, rope_theta=1e6, head_dim=16, tied=True, seed=0, **shape):
    """A `transformers` model with large random weights and norms, saved by itself; heads do not add up to the width."""
    torch.manual_seed(seed)
    config = transformers.Qwen3Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=3,
        head_dim=head_dim,
        rope_parameters={"rope_theta": rope_theta, "rope_type": "default"},
        tie_word_embeddings=tied,
        initializer_range=0.2,
        attn_implementation="eager",
        **shape,
    )
    model = transformers.Qwen3ForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def pair(request, tmp_path_factory):
    """The same checkpoint in both implementations."""
    folder = tmp_path_factory.mktemp("qwen3")
    model = random_checkpoint(folder, **request.param)
    settings = settings_from_json(folder)
    return model, with_weights(settings, load_weights(folder, settings))


def theirs(model, token_bs, **inputs):
    """Outputs of every block before the final norm, then the logits."""
    states = []
    hooks = [layer.register_forward_hook(lambda *call: states.append(call[2])) for layer in model.model.layers]
    with torch.no_grad():
        logits = model(torch.tensor(token_bs), **inputs).logits
    for hook in hooks:
        hook.remove()
    return [state.float().numpy() for state in [*states, logits]]


@jax.jit
def _ours(qwen, token_bs, position_bs, visible_bst):
    embeds_bsw = qwen.embed(token_bs)
    states = qwen.block_states(embeds_bsw, position_bs, visible_bst)
    return states, qwen.logits(qwen(embeds_bsw, position_bs, visible_bst))


def ours(qwen, token_bs, position_bs=None, real_bs=None):
    """The same; causal, and of the real tokens only."""
    num_rows, length = token_bs.shape
    position_bs = np.broadcast_to(np.arange(length), token_bs.shape) if position_bs is None else position_bs
    visible_bst = np.tril(np.ones((num_rows, length, length), bool))
    visible_bst = visible_bst if real_bs is None else visible_bst & real_bs[:, None, :]
    states, logits = _ours(qwen, token_bs, position_bs, visible_bst)
    return [np.asarray(array, np.float32) for array in [*states, logits]]


def distance(found, expected, real_bs=None):
    """Largest difference relative to the largest value, over the real tokens."""
    found, expected = (array if real_bs is None else array[real_bs] for array in (found, expected))
    return np.abs(found - expected).max() / np.abs(expected).max()


def tokens(*shape):
    """Token ids without a pattern."""
    return (np.arange(np.prod(shape)) ** 2 * 7 % 61).reshape(shape)


def assert_equal_everywhere(found, expected, real_bs=None):
    """Every block and the logits to 1e-5."""
    assert len(found) == len(expected) == 4
    for one, two in zip(found, expected, strict=True):
        assert one.shape == two.shape
        assert distance(one, two, real_bs) < 1e-5


def test_every_block_and_the_logits_are_equal(pair):
    model, qwen = pair
    token_bs = tokens(2, 40)
    assert_equal_everywhere(ours(qwen, token_bs), theirs(model, token_bs))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_are_equal(pair, side):
    model, qwen = pair
    lengths, width = np.array([3, 40, 17]), 40
    places = np.arange(width)
    real_bs = places < lengths[:, None] if side == "right" else places >= width - lengths[:, None]
    token_bs = np.where(real_bs, tokens(3, width), 0)
    position_bs = np.maximum(np.cumsum(real_bs, axis=1) - 1, 0)
    inputs = {"attention_mask": torch.tensor(real_bs.astype(int)), "position_ids": torch.tensor(position_bs)}
    expected = theirs(model, token_bs, **inputs)
    assert_equal_everywhere(ours(qwen, token_bs, position_bs, real_bs), expected, real_bs)


def test_a_long_context_is_equal(pair):
    model, qwen = pair
    token_bs = tokens(1, 300)
    assert_equal_everywhere(ours(qwen, token_bs), theirs(model, token_bs))


def test_embeddings_from_elsewhere_are_equal(pair):
    model, qwen = pair
    embeds_bsw = np.sin(np.arange(320.0)).reshape(1, 10, 32).astype(np.float32)
    with torch.no_grad():
        expected = model(inputs_embeds=torch.tensor(embeds_bsw)).logits.numpy()
    found = qwen.logits(qwen(embeds_bsw, np.arange(10)[None], np.tril(np.ones((1, 10, 10), bool))))
    assert distance(found, expected) < 1e-5


def test_bfloat16_is_as_near_to_float32_as_the_reference(tmp_path):
    """Both round every product to 8 bits; our softmax and its logits stay in float32, so ours may be the nearer."""
    ratios = []
    for seed in range(3):
        model = random_checkpoint(tmp_path, num_attention_heads=4, num_key_value_heads=2, seed=seed).to(torch.bfloat16)
        model.save_pretrained(tmp_path)  # weights that bfloat16 can hold
        settings = settings_from_json(tmp_path, compute_dtype="bfloat16")
        weights = load_weights(tmp_path, settings)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(weights)} == {"bfloat16"}
        token_bs = tokens(2, 40)
        found, expected = ours(with_weights(settings, weights), token_bs), theirs(model, token_bs)
        exact = theirs(model.to(torch.float32), token_bs)
        for one, two, three in zip(found, expected, exact, strict=True):
            ratios.append(np.sqrt(np.mean((one - three) ** 2) / np.mean((two - three) ** 2)))
            assert distance(one, three) < 0.06
    assert 0.7 < np.exp(np.mean(np.log(ratios))) < 1.0


def test_what_we_write_transformers_reads(tmp_path):
    settings = Qwen3Settings(
        width=32, num_layers=3, num_heads=4, num_kv_heads=2, head_width=16, mlp_width=40, vocabulary_size=61,
        rope_theta=5e4, norm_epsilon=1e-5, tied_embeddings=False,
    )  # fmt: skip
    random_checkpoint(tmp_path / "a", num_attention_heads=4, num_key_value_heads=2, tied=False)
    weights = load_weights(tmp_path / "a")
    save_weights(tmp_path / "b", settings, weights)
    model = transformers.Qwen3ForCausalLM.from_pretrained(tmp_path / "b", attn_implementation="eager")
    token_bs = tokens(1, 12)
    assert_equal_everywhere(ours(with_weights(settings, weights), token_bs), theirs(model, token_bs))
    assert settings_from_json(tmp_path / "b") == settings


def test_shards_load_as_one_file_does(tmp_path):
    model = random_checkpoint(tmp_path / "one", num_attention_heads=4, num_key_value_heads=2)
    model.save_pretrained(tmp_path / "many", max_shard_size="30KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    jax.tree.map(np.testing.assert_array_equal, load_weights(tmp_path / "one"), load_weights(tmp_path / "many"))
    assert jnp.asarray(0).dtype == jnp.int32  # torch's import leaves our types alone
