"""The MiniLM encoder on a tiny random checkpoint, against a twin that loops over texts, heads and tokens in NumPy."""

import json
import math
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.memory.minilm import MiniLMEncoder

pytest.importorskip("tokenizers")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "pool", "opens", "at", "nine", "##s", "ticket"]
CONFIG = {
    "model_type": "bert",
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}
TOKENIZER = {
    "version": "1.0",
    "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": None,
    "added_tokens": [],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
    "decoder": None,
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {word: place for place, word in enumerate(WORDS)},
    },
}
TEXTS = {
    "The pool opens at nine": [2, 4, 5, 6, 7, 8, 3],
    "tickets": [2, 10, 9, 3],
    "harbour": [2, 1, 3],
    "pool " * 40: [2, *[5] * 18, 3],  # cut to the 20 positions that there are
}


def _tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    width, hidden = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (11, width),
        "embeddings.position_embeddings.weight": (20, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "pooler.dense.weight": (width, width),  # published with the model, not used
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        dense = {
            "attention.self.query": (width, width),
            "attention.self.key": (width, width),
            "attention.self.value": (width, width),
            "attention.output.dense": (width, width),
            "intermediate.dense": (hidden, width),
            "output.dense": (width, hidden),
        }
        for name, shape in dense.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (width,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (width,)
    return {name: generator.normal(scale=0.7, size=shape).astype(np.float32) for name, shape in shapes.items()}


def _write(folder: Path, tensors: dict[str, np.ndarray], config: dict[str, object] = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    safetensors_numpy.save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("minilm"), _tensors())


@pytest.fixture(scope="module")
def encoder(folder: Path) -> MiniLMEncoder:
    return MiniLMEncoder(folder, max_tokens=20)


def _twin(tokens: list[int], tensors: dict[str, np.ndarray]) -> np.ndarray:
    """One text, one token and one head at a time, in float64."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def dense(name: str, vector: np.ndarray) -> np.ndarray:
        return weights[f"{name}.weight"] @ vector + weights[f"{name}.bias"]

    def norm(name: str, vector: np.ndarray) -> np.ndarray:
        centred = vector - vector.mean()
        return centred / np.sqrt((centred**2).mean() + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    embedded = [
        weights["embeddings.word_embeddings.weight"][token]
        + weights["embeddings.position_embeddings.weight"][place]
        + weights["embeddings.token_type_embeddings.weight"][0]
        for place, token in enumerate(tokens)
    ]
    states = [norm("embeddings.LayerNorm", vector) for vector in embedded]
    for number in range(2):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            [dense(f"{layer}.attention.self.{name}", state) for state in states] for name in ("query", "key", "value")
        )
        following = []
        for place, state in enumerate(states):
            heads = []
            for part in (slice(0, 4), slice(4, 8)):
                scores = np.array(
                    [query[place][part] @ other[part] / 2.0 for other in key]
                )  # root of the head width, 4
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                heads.append(sum(share * other[part] for share, other in zip(shares, value, strict=True)))
            attended = norm(
                f"{layer}.attention.output.LayerNorm",
                state + dense(f"{layer}.attention.output.dense", np.concatenate(heads)),
            )
            hidden = [
                x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in dense(f"{layer}.intermediate.dense", attended)
            ]
            following.append(
                norm(f"{layer}.output.LayerNorm", attended + dense(f"{layer}.output.dense", np.array(hidden)))
            )
        states = following
    mean = np.mean(states, axis=0)
    return mean / np.linalg.norm(mean)


def test_vectors_equal_the_slow_twin_whatever_the_padding(encoder: MiniLMEncoder) -> None:
    expected = np.array([_twin(tokens, _tensors()) for tokens in TEXTS.values()])
    np.testing.assert_allclose(encoder.encode([*TEXTS]), expected, atol=2e-6)  # four lengths padded in one batch
    for text, vector in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], vector, atol=2e-6)


def test_blank_texts_are_zero_and_order_is_kept(encoder: MiniLMEncoder) -> None:
    texts = ["", *TEXTS, "  \n"] * 8
    vectors = encoder.encode(texts)
    assert (vectors.shape, vectors.dtype) == ((48, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [0, 1, 1, 1, 1, 0] * 8, atol=1e-6)
    one_by_one = np.concatenate([encoder.encode([text]) for text in texts[:6]])
    np.testing.assert_allclose(vectors, np.tile(one_by_one, (8, 1)), atol=2e-6)
    assert encoder.encode([]).shape == (0, 8)


def test_the_number_of_compiled_shapes_is_bounded(encoder: MiniLMEncoder) -> None:
    from lts_jax.models.minilm import embed_tokens

    before = embed_tokens._cache_size()
    for num_texts in range(1, 40):
        encoder.encode(["pool " * (1 + number % 25) for number in range(num_texts)])
    assert embed_tokens._cache_size() - before <= 6  # 3 batch sizes, 2 lengths (16, and the 20 positions there are)


def test_the_name_tells_weights_apart(folder: Path, encoder: MiniLMEncoder, tmp_path: Path) -> None:
    tensors = _tensors()
    tensors["embeddings.LayerNorm.bias"][0] += 1
    other = MiniLMEncoder(_write(tmp_path / "other", tensors), max_tokens=20)
    assert other.name != encoder.name
    assert MiniLMEncoder(folder, max_tokens=20).name == encoder.name
    assert encoder.name.startswith("minilm-8-20-")


def test_tensor_names_may_have_the_bert_prefix(encoder: MiniLMEncoder, tmp_path: Path) -> None:
    prefixed = {f"bert.{name}": tensor for name, tensor in _tensors().items()}
    found = MiniLMEncoder(_write(tmp_path / "prefixed", prefixed), max_tokens=20)
    np.testing.assert_array_equal(found.encode(["pool"]), encoder.encode(["pool"]))


def test_the_digest_is_checked(folder: Path) -> None:
    digest = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    MiniLMEncoder(folder, max_tokens=20, expected_sha256=digest.upper())
    with pytest.raises(UserError, match=f"expected sha256 {'0' * 64}, got {digest}"):
        MiniLMEncoder(folder, max_tokens=20, expected_sha256="0" * 64)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (_write(tmp_path, _tensors()) / name).unlink()
    with pytest.raises(UserError, match=f"{name}: no such file"):
        MiniLMEncoder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    (_write(tmp_path, _tensors()) / name).write_bytes(b"{ broken")
    with pytest.raises(UserError, match=f"{name}: (not a|expected a)") as caught:
        MiniLMEncoder(tmp_path, max_tokens=20)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model_type": "t5"}, "expected model_type 'bert', got 't5'"),
        ({"hidden_act": "relu"}, "expected hidden_act 'gelu', got 'relu'"),
        ({"num_attention_heads": 3}, "expected a multiple of num_attention_heads = 3, got 8"),
        ({"vocab_size": 5}, "more tokens than config.json's vocab_size"),
        ({"intermediate_size": 16}, r"intermediate.dense.weight: expected shape \[16, 8\], got \[12, 8\]"),
        ({"num_hidden_layers": 3}, "the weights have no tensor encoder.layer.2"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        MiniLMEncoder(_write(tmp_path, _tensors(), CONFIG | change), max_tokens=20)


def test_a_config_without_a_field_and_a_wrong_length_are_refused(folder: Path, tmp_path: Path) -> None:
    config = {name: value for name, value in CONFIG.items() if name != "hidden_size"}
    with pytest.raises(UserError, match="no field hidden_size"):
        MiniLMEncoder(_write(tmp_path, _tensors(), config))
    with pytest.raises(UserError, match="max_tokens: expected 1 to 20 for this model, got 21"):
        MiniLMEncoder(folder, max_tokens=21)
