"""Rows that grow token by token give what one pass of the whole network gives; and equal `transformers`."""

import jax
import numpy as np
import pytest

from lts_jax.models.decoding import copy_row, empty_row, extend_rows, load_decoder
from lts_jax.models.qwen3 import Qwen3Settings, settings_from_json, with_weights
from lts_jax.models.weights import load_weights

pytest.importorskip("tokenizers", reason="needs the extra local")

from tiny_llama import TINY, tiny_weights, write_folder

SHAPES = {
    "llama": TINY,
    "llama with biases, untied": Qwen3Settings(
        width=32, num_layers=2, num_heads=4, num_kv_heads=1, head_width=8, mlp_width=64, vocabulary_size=320,
        query_key_norm=False, attention_bias=True, tied_embeddings=False,
    ),
    "qwen3": Qwen3Settings(
        width=32, num_layers=2, num_heads=4, num_kv_heads=2, head_width=16, mlp_width=64, vocabulary_size=320
    ),
}  # fmt: skip
TOKENS = (np.arange(40) ** 2 * 7 % 320).tolist()


@pytest.fixture(scope="module", params=SHAPES)
def model(request, tmp_path_factory):
    """Folder and settings of each family."""
    folder = tmp_path_factory.mktemp("decoder")
    write_folder(folder, SHAPES[request.param], tiny_weights(SHAPES[request.param]))
    return folder, settings_from_json(folder)


def whole(folder, settings, tokens):
    """Logits f32[S, V] after every token, by the network of `qwen3.py`."""
    length = len(tokens)

    @jax.jit
    def run(weights, token_bs):
        network = with_weights(settings, weights)
        return network.logits(
            network(network.embed(token_bs), np.arange(length)[None], np.tril(np.ones((1, length, length), bool)))
        )

    return np.asarray(run(load_weights(folder, settings), np.array([tokens])))[0]


def test_token_by_token_is_the_whole(model):
    folder, settings = model
    expected = whole(folder, settings, TOKENS)
    weights, row = load_decoder(folder, settings), empty_row(settings, 64)
    found = [extend_rows(settings, weights, [row], [TOKENS[:20]], 32)[0]]  # padded by twelve
    found += [extend_rows(settings, weights, [row], [[token]], 1)[0] for token in TOKENS[20:]]
    np.testing.assert_allclose(np.stack(found), expected[19:], atol=1e-4 * np.abs(expected).max())
    assert row.tokens == TOKENS


def test_rows_do_not_see_each_other(model):
    """Five rows of different lengths at once, each by a copy of a beginning, give what each gives alone."""
    folder, settings = model
    weights, first = load_decoder(folder, settings), empty_row(settings, 64)
    extend_rows(settings, weights, [first], [TOKENS[:16]], 16)
    rows = [copy_row(first, length, 64) for length in (16, 9, 12, 3, 16)]
    found = extend_rows(settings, weights, rows, [[5], [6], [7], [8], [9]], 1)
    for place, (length, token) in enumerate([(16, 5), (9, 6), (12, 7), (3, 8), (16, 9)]):
        expected = whole(folder, settings, [*TOKENS[:length], token])[-1]
        np.testing.assert_allclose(found[place], expected, atol=1e-4 * np.abs(expected).max())
    assert first.tokens == TOKENS[:16] and rows[1].tokens == [*TOKENS[:9], 6]


def test_a_llama_equals_transformers(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra parity")
    transformers = pytest.importorskip("transformers", reason="needs the extra parity")
    for name in ("llama", "llama with biases, untied"):
        folder, settings = tmp_path / name, SHAPES[name]
        write_folder(folder, settings, tiny_weights(settings))
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        assert type(theirs).__name__ == "LlamaForCausalLM"
        with torch.no_grad():
            expected = theirs(torch.tensor([TOKENS])).logits[0].numpy()
        found = whole(folder, settings, TOKENS)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_what_transformers_writes_of_a_llama_is_read(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra parity")
    transformers = pytest.importorskip("transformers", reason="needs the extra parity")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.2, attn_implementation="eager", tie_word_embeddings=False,
    )  # fmt: skip
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    tokens = [token % 61 for token in TOKENS]
    with torch.no_grad():
        expected = theirs(torch.tensor([tokens])).logits[0].numpy()
    found = whole(tmp_path, settings_from_json(tmp_path), tokens)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
