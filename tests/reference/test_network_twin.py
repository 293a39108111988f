"""The set transformer against a slow twin: float64 NumPy, one decision, one full token-by-token visibility table."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer

SETTINGS = SetTransformerSettings(embedding_width=6, width=8, num_layers=2, num_heads=2, projection_bias=True)
QUERY = 0


def dense(params: dict, x: np.ndarray) -> np.ndarray:
    return x @ params["kernel"] + params["bias"]


def normed(params: dict, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6) * params["scale"] + params["bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other) / math.sqrt(float(one @ one) * float(other @ other))


def sees(token: int, other: int, num_keys: int) -> bool:
    """Tokens are query, keys, then three step tokens."""
    if token == QUERY:
        return other == QUERY
    if token <= num_keys:
        return other in (QUERY, token)
    return True


def twin_logits(params: dict, query: np.ndarray, keys: np.ndarray, step: np.ndarray) -> np.ndarray:
    num_keys, scale = len(keys), math.sqrt(SETTINGS.embedding_width)
    tokens = [dense(params["project_query"], query * scale) + params["token_kind"][0]]
    tokens += [dense(params["project_key"], key * scale) + params["token_kind"][1] for key in keys]
    near = [max((cosine(text, key) for key in keys), default=0.0) for text in step]
    tokens += [
        dense(params["project_step"], step[i] * scale)
        + params["token_kind"][2 + i]
        + np.array(near) @ params["project_cosines"]["kernel"]
        for i in range(3)
    ]
    x = np.stack(tokens)
    head_width = SETTINGS.width // SETTINGS.num_heads
    for layer in (params["layers"][i] for i in range(SETTINGS.num_layers)):
        q, k, v = np.split(dense(layer["query_key_value"], normed(layer["attention_norm"], x)), 3, axis=-1)
        attended = np.zeros_like(x)
        for token in range(len(x)):
            visible = [other for other in range(len(x)) if sees(token, other, num_keys)]
            for head in range(SETTINGS.num_heads):
                part = slice(head * head_width, (head + 1) * head_width)
                scores = np.array([q[token, part] @ k[other, part] for other in visible]) / math.sqrt(head_width)
                weights = np.exp(scores) / np.exp(scores).sum()
                attended[token, part] = sum(
                    weight * v[other, part] for weight, other in zip(weights, visible, strict=True)
                )
        x = x + dense(layer["attention_out"], attended)
        x = x + dense(layer["mlp_out"], gelu(dense(layer["mlp_in"], normed(layer["mlp_norm"], x))))
    return dense(params["head"], normed(params["final_norm"], x[-1]))


def test_network_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(0)
    network = set_transformer(SETTINGS)
    leaves, structure = jax.tree.flatten(network.init(jax.random.key(0)))
    params = jax.tree.unflatten(structure, [leaf + rng.normal(0, 0.3, leaf.shape) for leaf in leaves])
    decision_logits = jax.jit(network.decision_logits)
    slow = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    for num_keys in (0, 1, 5):
        query, step = rng.normal(size=6) / 2.4, rng.normal(size=(3, 6)) / 2.4
        keys = rng.normal(size=(6, 6)) / 2.4
        fast = decision_logits(params, jnp.asarray(query), jnp.asarray(keys), jnp.asarray(num_keys), step)
        np.testing.assert_allclose(fast, twin_logits(slow, query, keys[:num_keys], step), atol=2e-5)
