"""phi: vectors of texts from a tiny frozen Qwen3, and vectors that are stored between runs."""

import sqlite3

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="needs the extra qwen")

from lts_jax.errors import UserError
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.qwen3_encoder import Qwen3Encoder
from lts_jax.memory.stored_vectors import StoredEncoder
from lts_jax.models.qwen3 import settings_from_json, with_weights
from lts_jax.models.tiny_qwen3 import write_tiny
from lts_jax.models.tokens import answer_tokens, load_tokenizer
from lts_jax.models.weights import load_weights

TEXTS = ("the museum opens at nine", "YES", "", "a much longer text " * 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny(made)
    return made


def alone(folder, text, pooling, max_tokens):
    """The slow way: one text, unpadded, by the whole network."""
    settings = settings_from_json(folder)
    network = with_weights(settings, load_weights(folder, settings))
    ids = np.array([load_tokenizer(folder).encode(text).ids[:max_tokens]])
    size = ids.shape[1]
    states = np.asarray(network(network.embed(ids), np.arange(size)[None], np.tril(np.ones((1, size, size), bool))))[0]
    vector = states[-1] if pooling == "last" else states.mean(axis=0)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_batched_vectors_are_those_of_each_text_alone(folder, pooling):
    found = Qwen3Encoder(folder, pooling=pooling, max_tokens=40).encode(TEXTS)
    assert found.shape == (4, 64)
    assert not found[2].any()  # a blank text
    for place in (0, 1, 3):
        np.testing.assert_allclose(found[place], alone(folder, TEXTS[place], pooling, 40), atol=1e-5)


def test_the_tiny_tokenizer_knows_both_answers(folder):
    tokenizer = load_tokenizer(folder)
    no, yes = answer_tokens(tokenizer)
    assert (tokenizer.id_to_token(no), tokenizer.id_to_token(yes)) == ("NO", "YES")
    assert tokenizer.decode(tokenizer.encode("Grüße, at 9:30!\n").ids) == "Grüße, at 9:30!\n"


def test_the_name_tells_vectors_apart(folder):
    names = {
        Qwen3Encoder(folder, pooling=pooling, max_tokens=cut).name for pooling in ("last", "mean") for cut in (8, 9)
    }
    assert len(names) == 4
    with pytest.raises(UserError, match='pooling: expected "last" or "mean"'):
        Qwen3Encoder(folder, pooling="first")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        write_tiny(folder)


class Counting:
    """An encoder that knows what it was asked."""

    def __init__(self, name="counting"):
        self.inner, self.name, self.asked = HashingEncoder(8), name, []
        self.dim = 8

    def encode(self, texts):
        self.asked += texts
        return self.inner.encode(texts)


def test_a_text_is_encoded_once_even_by_the_next_process(tmp_path):
    path = tmp_path / "deep" / "vectors.sqlite"
    first = Counting()
    expected = first.inner.encode(["a", "b", "a"])
    np.testing.assert_array_equal(StoredEncoder(first, path).encode(["a", "b", "a"]), expected)
    assert first.asked == ["a", "b"]
    second = Counting()
    np.testing.assert_array_equal(StoredEncoder(second, path).encode(["b", "c", "a"])[[2, 0, 2]], expected)
    assert second.asked == ["c"]
    other = Counting("another model")  # never served what another has made
    StoredEncoder(other, path).encode(["a"])
    assert other.asked == ["a"]
    assert StoredEncoder(second, path).encode([]).shape == (0, 8)


def test_damage_is_made_good_or_named(tmp_path):
    path = tmp_path / "vectors.sqlite"
    stored = StoredEncoder(Counting(), path)
    expected = stored.encode(["a"])
    with sqlite3.connect(path) as database:
        database.execute("update vectors set vector = x'00'")
    np.testing.assert_array_equal(StoredEncoder(Counting(), path).encode(["a"]), expected)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match=r"vectors\.sqlite: expected a file of stored vectors"):
        StoredEncoder(Counting(), path)
