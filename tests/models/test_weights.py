"""Qwen3 folders: what is read, in which types, and every way a folder can be wrong, each one line naming its file."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lts_jax.errors import UserError
from lts_jax.models.qwen3 import Qwen3Settings, abstract_weights, settings_from_json
from lts_jax.models.weights import check_weights, digest, load_weights, save_weights

SETTINGS = Qwen3Settings(
    width=8, num_layers=2, num_heads=4, num_kv_heads=2, head_width=6, mlp_width=12, vocabulary_size=11
)
Q = "model.layers.1.self_attn.q_proj.weight"


def random_weights(settings):
    """Weights large enough to matter, without a compilation."""
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(0, 0.4, leaf.shape), leaf.dtype), abstract_weights(settings)
    )


@pytest.fixture(scope="module")
def weights():
    return random_weights(SETTINGS)


@pytest.fixture
def folder(tmp_path, weights):
    """A good folder of one file."""
    save_weights(tmp_path, SETTINGS, weights)
    return tmp_path


def change_tensors(folder, change):
    """Write the tensors again after `change` did something to their dict."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder, **changes):
    """Write config.json again; None takes a field out."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def shard(folder, num_shards=3):
    """The same tensors over several files, as the hub keeps large models; gives the index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    plan = {name: f"model-{place % num_shards + 1:05}.safetensors" for place, name in enumerate(sorted(tensors))}
    for path in set(plan.values()):
        save_file({name: tensors[name] for name in tensors if plan[name] == path}, folder / path)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": plan}))
    return plan


def refusal(folder):
    """The one line that loading fails with; checking the headers fails with the same."""
    with pytest.raises(UserError) as caught:
        load_weights(folder)
    with pytest.raises(UserError) as checked:
        check_weights(folder)
    assert str(checked.value) == str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(found, expected):
    """Equal leaves of equal types."""
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert jax.tree.map(lambda leaf: leaf.dtype, found) == jax.tree.map(lambda leaf: leaf.dtype, expected)


def test_what_was_written_comes_back(folder, weights):
    check_weights(folder)
    assert settings_from_json(folder) == settings_from_json(folder / "config.json") == SETTINGS
    assert_same(load_weights(folder), weights)
    # A dense matrix of a file is [out, in], ours is [in, out].
    written = load_file(folder / "model.safetensors")[Q]
    assert written.shape == (24, 8)
    np.testing.assert_array_equal(load_weights(folder)["layers"]["q"][1], written.T)


def test_shards_are_one_model_with_one_digest(folder, weights):
    whole = digest(folder)
    shard(folder)
    assert_same(load_weights(folder), weights)
    assert digest(folder) == whole


def test_the_digest_changes_with_one_bit_and_with_what_shapes_do_not_show(folder):
    seen = {digest(folder)}
    change_config(folder, rope_theta=1e5, rope_parameters=None)
    seen.add(digest(folder))
    change_tensors(
        folder, lambda tensors: tensors[Q].view(np.uint8).__setitem__((3, 4), tensors[Q].view(np.uint8)[3, 4] ^ 1)
    )
    seen.add(digest(folder))
    change_tensors(
        folder, lambda tensors: tensors.update({Q: tensors[Q].view(np.int32).view(np.float32).astype("<f2")})
    )
    seen.add(digest(folder))
    assert len(seen) == 4 and all(len(text) == 64 for text in seen)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_files_are_read_exactly(folder, kind):
    change_tensors(folder, lambda tensors: tensors.update({n: a.astype(jnp.dtype(kind)) for n, a in tensors.items()}))
    written = load_file(folder / "model.safetensors")
    wide = load_weights(folder)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(wide)} == {"float32"}
    np.testing.assert_array_equal(wide["layers"]["q"][1], written[Q].T.astype(np.float32))
    narrow = load_weights(folder, settings_from_json(folder, compute_dtype="bfloat16"))
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(narrow)} == {"bfloat16"}
    np.testing.assert_array_equal(narrow["layers"]["q"][1], written[Q].T.astype(jnp.bfloat16))


def test_names_without_model_and_a_repeated_embedding_are_understood(folder, weights):
    def rename(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("model.")] = tensors.pop(name)
        tensors["lm_head.weight"] = tensors["embed_tokens.weight"].copy()

    change_tensors(folder, rename)
    assert_same(load_weights(folder), weights)


def test_an_untied_model_has_a_table_of_its_own(tmp_path):
    settings = Qwen3Settings(
        width=8, num_layers=1, num_heads=2, num_kv_heads=1, head_width=4, mlp_width=6, vocabulary_size=7,
        tied_embeddings=False,
    )  # fmt: skip
    weights = random_weights(settings)
    save_weights(tmp_path, settings, weights)
    assert_same(load_weights(tmp_path), weights)
    change_tensors(tmp_path, lambda tensors: tensors.pop("lm_head.weight"))
    assert "model.safetensors: expected tensor lm_head.weight of shape [7, 8], found none" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(Q), f"model.safetensors: expected tensor {Q} of shape [24, 8], found none"),
        (
            lambda tensors: tensors.update({Q: np.zeros((8, 24), np.float32)}),
            f"model.safetensors: tensor {Q}: expected shape [24, 8], found [8, 24]",
        ),
        (
            lambda tensors: tensors.update({Q: np.zeros((24, 8), np.int8)}),
            f"model.safetensors: tensor {Q}: expected type F32, F16, BF16, found I8",
        ),
        (
            lambda tensors: tensors.update({Q.replace(".1.", ".2."): tensors[Q].copy()}),
            f"expected the tensors of a Qwen3 of 2 layers, found also {Q.replace('.1.', '.2.')}",
        ),
        (
            lambda tensors: tensors.update({Q.replace("weight", "bias"): np.zeros(24, np.float32)}),
            "found also model.layers.1.self_attn.q_proj.bias",
        ),
    ],
)
def test_wrong_tensors_are_refused(folder, change, message):
    change_tensors(folder, change)
    assert message in refusal(folder)


def test_missing_files_and_shards_are_refused(folder):
    plan = shard(folder)
    path = folder / plan[Q]
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert f"{plan[Q]}: expected a whole safetensors file" in refusal(folder)
    save_file({name: array for name, array in _tensors(content).items() if name != Q}, path)
    assert f"{plan[Q]}: expected 8 tensors, as model.safetensors.index.json says, found no {Q}" in refusal(folder)
    path.unlink()
    assert f"{plan[Q]}: no such file; expected this shard of 8 tensors" in refusal(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {Q: "../elsewhere.safetensors"}}))
    assert "elsewhere.safetensors: no such file" in refusal(folder)
    index.write_text("{}")
    assert "model.safetensors.index.json: expected a field weight_map" in refusal(folder)
    index.unlink()
    assert "model.safetensors: no such file; expected it, or shards" in refusal(folder)
    (folder / "pytorch_model.bin").touch()
    assert refusal(folder).endswith("pytorch_model.bin is not read: save the model again with safe_serialization=True")
    (folder / "config.json").unlink()
    assert "config.json: no such file" in refusal(folder)


def _tensors(content):
    from safetensors.numpy import load

    return load(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen3_moe"}, "model_type: expected 'qwen3' or 'llama', found 'qwen3_moe'"),
        ({"model_type": None}, "model_type: expected 'qwen3' or 'llama', found None"),
        ({"mlp_bias": True}, "mlp_bias: expected False, found True"),
        ({"hidden_act": "gelu"}, "hidden_act: expected 'silu', found 'gelu'"),
        ({"use_sliding_window": True, "sliding_window": 4096}, "sliding_window: expected None, found 4096"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types: expected ['full_attention'], found"),
        (
            {"rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn"}},
            "rope scaling: expected 'default', found 'yarn'",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": None}, "rope scaling: expected"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}},
            "rope scaling: expected 'default', found 'yarn' (rope_scaling.rope_type)",  # beside plain rope_parameters
        ),
        ({"rope_scaling": {"type": "dynamic"}}, "expected 'default', found 'dynamic' (rope_scaling.type)"),
        ({"rope_scaling": {"factor": 2.0}}, "rope scaling: expected 1.0, found 2.0 (rope_scaling.factor)"),
        ({"rope_parameters": {"rope_theta": 1e6, "factor": 2}}, "expected 1.0, found 2 (rope_parameters.factor)"),
        ({"rope_scaling": {"mrope_section": [2, 1]}}, "expected None, found [2, 1] (rope_scaling.mrope_section)"),
        (
            {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}},
            "rope_theta: expected one, found 1000000.0 in rope",
        ),
        ({"quantization_config": {"bits": 4}}, "quantization_config: expected None, found {'bits': 4}"),
        ({"hidden_size": None}, "expected the field hidden_size of a Qwen3 model, found none"),
        ({"rope_theta": None, "rope_parameters": None}, "expected the field rope_theta"),
        ({"num_key_value_heads": 3}, "num_heads: expected a multiple of num_kv_heads = 3, got 4"),
        ({"head_dim": "6"}, "head_width: expected a whole number"),
        ({"rms_norm_eps": "small"}, "norm_epsilon: expected a positive number, got 'small'"),
        ({"rope_parameters": [1e6]}, "rope_parameters: expected a JSON object, found [1000000.0]"),
        ({"layer_types": 3}, "layer_types: expected a JSON array, found 3"),
    ],
)
def test_another_family_or_feature_is_refused(folder, changes, message):
    change_config(folder, **changes)
    said = refusal(folder)
    assert said.startswith(f"{folder / 'config.json'}: ") and message in said


def test_a_config_that_is_not_an_object_is_refused(folder):
    (folder / "config.json").write_text("[]")
    assert "config.json: expected a JSON object, found list" in refusal(folder)


def test_the_published_config_of_the_smallest_model_gives_the_defaults(tmp_path):
    """Fields of Qwen/Qwen3-0.6B's config.json on the hub that concern the model."""
    config = {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "head_dim": 128,
        "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960,
        "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000,
        "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_sliding_window": False,
        "vocab_size": 151936,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert settings_from_json(tmp_path) == Qwen3Settings()


def test_both_ways_to_write_the_rotary_base_are_read(folder):
    change_config(folder, rope_theta=None, rope_parameters={"rope_theta": 5e5, "rope_type": "default"})
    assert settings_from_json(folder).rope_theta == 5e5  # since transformers 5
    change_config(folder, rope_theta=1e4, rope_parameters=None, rope_scaling=None, sliding_window=4096)
    assert settings_from_json(folder, remat=True, unroll=2).rope_theta == 1e4  # before; a window that is not used
