"""Static vectors: worked by hand on a table of four tokens, and one line for every folder that is not one."""

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.static_vectors import StaticEncoder

pytest.importorskip("tokenizers", reason="needs the extra minilm")
save_file = pytest.importorskip("safetensors.numpy", reason="needs the extra minilm").save_file

TABLE = np.array([[0, 0], [3, 0], [0, 4], [-3, 0]], np.float16)  # of: unknown, mill, pond, deep


@pytest.fixture
def folder(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[UNK]": 0, "mill": 1, "pond": 2, "deep": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    save_file({"embedding.weight": TABLE}, tmp_path / "model.safetensors")
    return tmp_path


def test_a_text_is_the_mean_of_its_tokens_scaled_to_length_one(folder):
    encoder = StaticEncoder(folder)
    # mill pond: (1.5, 2) of length 2.5; mill mill pond: (2, 4/3), the direction of (3, 2).
    found = encoder.encode(["mill pond", "", "mill mill pond", "mill deep", "  "])
    expected = [[0.6, 0.8], [0, 0], [3 / 13**0.5, 2 / 13**0.5], [0, 0], [0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32 and encoder.dim == 2
    np.testing.assert_array_equal(encoder.encode(["mill pond"]), found[:1])  # whatever stands beside it


def test_longer_texts_are_cut_and_the_name_says_so(folder):
    short = StaticEncoder(folder, max_characters=4)
    assert short.encode(["mill pond"]).tolist() == [[1.0, 0.0]]
    assert short.name != StaticEncoder(folder).name
    assert make_encoder(f"static(folder={folder}, max_characters=4)").name == short.name
    with pytest.raises(UserError, match=r"static\(max_characters\): expected at least 1, got 0"):
        make_encoder(f"static(folder={folder}, max_characters=0)")


def test_a_folder_that_is_none_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match=r"model\.safetensors: no such file"):
        StaticEncoder(tmp_path / "none")
    with pytest.raises(UserError, match=f"expected sha256 {'0' * 64}, got"):
        StaticEncoder(folder, expected_sha256="0" * 64)
    save_file({"a": TABLE[:3]}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"a row for each of the 4 tokens of tokenizer\.json, model\.safetensors has 3"):
        StaticEncoder(folder)
    save_file({"a": TABLE, "b": TABLE}, folder / "model.safetensors")
    with pytest.raises(UserError, match="expected one table with a row for each token, found 2 tensors"):
        StaticEncoder(folder)
    save_file({"a": TABLE[0]}, folder / "model.safetensors")
    with pytest.raises(UserError, match="expected a table of finite numbers"):
        StaticEncoder(folder)
