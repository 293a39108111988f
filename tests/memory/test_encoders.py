"""The hashing encoder against a twin that loops over features, literal goldens, and the cache."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.memory.encoders import CachedEncoder, Encoder, HashingEncoder

TEXT = "Opening hours: 9-17, price 12.50"
# The vector of TEXT for dim = 8, as the twin below gives it too; literal, so that no later change is silent.
GOLDEN = [0.0109471, -0.4054208, 0.3718839, 0.4958452, -0.2592175, -0.4958452, 0.0003478, -0.3718839]


def _twin(text: str, dim: int, max_characters: int, ngrams: tuple[int, ...]) -> np.ndarray:
    """One feature at a time, with Python integers."""
    lowered = "".join(c.lower() if "A" <= c <= "Z" else " " if ord(c) < 32 else c for c in text[:max_characters])
    data = lowered.encode("utf-8", "replace")
    padded = b" " + b" ".join(data.split()) + b" "
    if not padded.strip():
        return np.zeros(dim)
    runs = [padded[i : i + n] for n in ngrams for i in range(len(padded) - n + 1)]
    spaced = bytes(b if b >= 128 or chr(b).isalnum() else 32 for b in padded)
    words = [crc32(word) for word in spaced.split()]
    pairs = [(first * 0xFF51AFD7ED558CCD + second) % 2**64 for first, second in pairwise(words)]
    vector = np.zeros(dim)
    for run in runs:
        _count(vector, int.from_bytes(run, "little"), 1.0)
    vector /= np.linalg.norm(vector) or 1.0
    for features, length in (([word + 2**63 for word in words], 1.0), (pairs, 0.7)):
        distinct = list(dict.fromkeys(features))
        weights = [2.0 if place < 24 else 1.0 for place in range(len(distinct))]
        for feature, weight in zip(distinct, weights, strict=True):
            _count(vector, feature, length * weight / np.linalg.norm(weights))
    return vector / np.linalg.norm(vector)


def _count(vector: np.ndarray, feature: int, weight: float) -> None:
    hashed = feature * 0x9E3779B97F4A7C15 % 2**64
    hashed ^= hashed >> 32
    hashed = hashed * 0xD6E8FEB86659FD93 % 2**64
    bucket = (hashed >> 32) * (2 * len(vector)) >> 32
    vector[bucket % len(vector)] += weight if bucket < len(vector) else -weight


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(max_size=300) | st.lists(st.sampled_from(["Failed", "hours", "12.50", "é"])).map(" ".join),
    dim=st.sampled_from([5, 64, 256]),
    ngrams=st.sampled_from([(3, 4, 5), (1,), (8, 2)]),
)
def test_the_encoder_equals_its_slow_twin(text: str, dim: int, ngrams: tuple[int, ...]) -> None:
    found = HashingEncoder(dim, 200, ngrams).encode([text])[0]
    if not text[:200].strip(" ").strip() or np.isnan(expected := _twin(text, dim, 200, ngrams)).any():
        return  # blank, or all features cancelled: see the tests below
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_golden_vector() -> None:
    encoder = HashingEncoder(dim=8)
    np.testing.assert_allclose(encoder.encode([TEXT])[0], GOLDEN, atol=1e-6)
    assert encoder.name == "hashing-8-a3dedfba"


def test_the_same_bits_in_another_process() -> None:
    code = (
        "import sys; from lts_jax.memory.encoders import HashingEncoder;"
        f"sys.stdout.write(HashingEncoder().encode([{TEXT!r}])[0].tobytes().hex())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert bytes.fromhex(found) == HashingEncoder().encode([TEXT])[0].tobytes()


def test_rows_have_unit_length_and_blank_texts_are_zero() -> None:
    vectors = HashingEncoder().encode([TEXT, "", " \n\t ", "a", "!", "\ud800", "Ω" * 2000])
    assert vectors.shape == (7, 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1, 1, 1, 1], atol=1e-6)
    assert HashingEncoder().encode([]).shape == (0, 256)


def test_a_text_whose_features_cancel_still_has_unit_length() -> None:
    vectors = HashingEncoder(dim=1, ngrams=(1,)).encode([chr(97 + n) * m for n in range(26) for m in (1, 2, 3)])
    assert np.linalg.norm(vectors, axis=1).tolist() == [1.0] * 78


def test_case_and_spacing_do_not_matter_but_words_do() -> None:
    encoder = HashingEncoder()
    one, same, other = encoder.encode(
        ["The page  failed\nto open", "the PAGE failed to open", "the page opened at last"]
    )
    np.testing.assert_array_equal(one, same)
    assert one @ other < 0.75


def test_only_the_first_characters_are_read() -> None:
    encoder = HashingEncoder(max_characters=20)
    one, other = encoder.encode(["a page about the pool" + " x" * 50, "a page about the pool" + " y" * 99])
    np.testing.assert_array_equal(one, other)


def test_a_status_word_weighs_more_at_the_start() -> None:
    page = " ".join(
        f"the {town} museum opens at {hour}" for hour, town in enumerate(["Arden", "Borle", "Cotham", "Fenwick"])
    )
    long = page + " " + " ".join(f"word{n}" for n in range(60))
    plain, first, last = HashingEncoder().encode([long, "Failed: " + long, long + " failed"])
    assert 1 - plain @ first > 2 * (1 - plain @ last) > 0


def test_near_texts_are_nearer_than_far_ones() -> None:
    found, again, far = HashingEncoder().encode(
        [
            "WebSurfer found that the day ticket of the pool costs 12.50",
            "The day ticket of the pool is 12.50, WebSurfer found",
            "Coder wrote a program that adds the populations of four branches",
        ]
    )
    assert found @ again > 0.6
    assert abs(found @ far) < 0.25


@pytest.mark.parametrize("arguments", [{"dim": 0}, {"max_characters": 0}, {"ngrams": ()}, {"ngrams": (0, 3)}])
def test_wrong_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|between 1 and 8"):
        HashingEncoder(**arguments)


def test_names_differ_with_settings_only() -> None:
    names = {HashingEncoder(**setting).name for setting in ({}, {"dim": 8}, {"max_characters": 9}, {"ngrams": (3,)})}
    assert len(names) == 4
    assert HashingEncoder().name == HashingEncoder(256, 1000, (3, 4, 5)).name


class _Counting:
    """Encodes a text as its length, and keeps what it was given."""

    dim = 1
    name = "counting"

    def __init__(self) -> None:
        self.given: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.given.append(list(texts))
        return np.array([[len(text)] for text in texts], np.float32)


def test_the_cache_encodes_each_text_once() -> None:
    inner = _Counting()
    cached: Encoder = CachedEncoder(inner)
    assert cached.encode(["a", "bb", "a"]).ravel().tolist() == [1, 2, 1]
    assert cached.encode(["bb", "ccc"]).ravel().tolist() == [2, 3]
    assert inner.given == [["a", "bb"], ["ccc"]]
    assert (cached.hits, cached.misses) == (2, 3)
    assert (cached.name, cached.dim) == ("counting", 1)
    assert cached.encode([]).shape == (0, 1)


def test_the_cache_is_bounded_and_forgets_the_least_recently_used() -> None:
    inner = _Counting()
    cached = CachedEncoder(inner, max_entries=2)
    cached.encode(["a", "bb"])
    cached.encode(["a"])
    cached.encode(["ccc"])  # takes the place of "bb"
    cached.encode(["a"])
    cached.encode(["bb"])
    assert inner.given == [["a", "bb"], ["ccc"], ["bb"]]
    assert cached.encode(["1", "22", "333", "1"]).ravel().tolist() == [1, 2, 3, 1]  # more than it holds
    with pytest.raises(ValueError, match="max_entries: expected at least 1, got 0"):
        CachedEncoder(inner, 0)


def test_changing_a_result_does_not_change_the_cache() -> None:
    cached = CachedEncoder(_Counting())
    for _ in range(2):
        vectors = cached.encode(["abc"])
        assert vectors[0, 0] == 3
        vectors[:] = 99
