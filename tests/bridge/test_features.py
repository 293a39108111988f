"""Texts become vectors once, whatever asks for them."""

from collections.abc import Sequence

import numpy as np
import pytest

from lts_jax.admission.policy import AdmissionRequest
from lts_jax.bridge.features import decision_features
from lts_jax.memory.encoded_texts import EncodedTexts
from lts_jax.records import Coordinates, Step


class LengthEncoder:
    """f32[n, 2]: length of the text, and 1. Remembers what it was asked."""

    dim, name = 2, "length"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), 1.0] for text in texts], np.float32)


def test_each_text_is_encoded_once_and_rows_keep_the_order_asked() -> None:
    encoder = LengthEncoder()
    texts = EncodedTexts(encoder)
    np.testing.assert_array_equal(texts.encode(["aa", "b", "aa"]), [[2, 1], [1, 1], [2, 1]])
    np.testing.assert_array_equal(texts.encode(["ccc", "b"]), [[3, 1], [1, 1]])
    assert encoder.asked == ["aa", "b", "ccc"]
    assert texts.encode([]).shape == (0, 2)


def test_a_full_table_starts_anew_and_a_growing_one_keeps_its_rows() -> None:
    encoder = LengthEncoder()
    small = EncodedTexts(encoder, max_texts=3)
    small.encode(["a", "bb"])
    np.testing.assert_array_equal(small.encode(["bb", "ccc"]), [[2, 1], [3, 1]])
    np.testing.assert_array_equal(small.encode(["a", "b", "c", "dddd"])[:, 0], [1, 1, 1, 4])
    large = EncodedTexts(encoder)
    many = ["x" * length for length in range(3000)]
    for start in range(0, 3000, 700):
        large.encode(many[start : start + 700])
    np.testing.assert_array_equal(large.encode(many)[:, 0], np.arange(3000))


def test_what_is_returned_is_a_copy() -> None:
    texts = EncodedTexts(LengthEncoder())
    texts.encode(["a"])[:] = 9.0
    np.testing.assert_array_equal(texts.encode(["a"]), [[1, 1]])


def test_an_encoder_of_wrong_width_is_refused() -> None:
    encoder = LengthEncoder()
    encoder.dim = 3
    with pytest.raises(ValueError, match=r"encoder length: expected shape \(1, 3\), got \(1, 2\)"):
        EncodedTexts(encoder).encode(["a"])


def test_features_are_the_inputs_of_the_paper_with_the_newest_keys() -> None:
    step = Step(0, 0, "WebSurfer", "do it", "", "output!", summary="sum")
    request = AdmissionRequest("question", ["k", "kk", "kkk"], step, Coordinates(0, 0, "t", 0), 0.0)
    features = decision_features(request, EncodedTexts(LengthEncoder()), key_window=2)
    np.testing.assert_array_equal(features.query_d, [8, 1])
    np.testing.assert_array_equal(features.key_nd, [[2, 1], [3, 1]])
    np.testing.assert_array_equal(features.step_sd, [[5, 1], [3, 1], [7, 1]])
