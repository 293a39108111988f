"""GGUF files: what comes out equals what `transformers`' files would hold, and every way a file can be wrong."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from lts_jax.errors import UserError
from lts_jax.models.gguf_file import convert_gguf
from lts_jax.models.qwen3 import Qwen3Settings
from lts_jax.models.qwen3_settings import context_length, settings_from_json
from lts_jax.models.weights import load_weights

gguf = pytest.importorskip("gguf", reason="needs the extra local")
pytest.importorskip("tokenizers", reason="needs the extra local")

from tiny_llama import TEMPLATE, TINY, tiny_weights, vocabulary, write_folder, write_gguf  # noqa: E402


def test_a_llama_file_gives_the_folder_of_the_same_model(tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "made")
    write_folder(tmp_path / "direct")
    made, direct = (load_file(tmp_path / name / "model.safetensors") for name in ("made", "direct"))
    assert set(made) == set(direct)
    for name, array in direct.items():
        np.testing.assert_array_equal(made[name], array, err_msg=name)
    assert settings_from_json(tmp_path / "made") == TINY
    assert context_length(tmp_path / "made") == 256


def test_rows_of_queries_and_keys_are_put_back(tmp_path):
    """A head of four rows 0 1 2 3 stands as 0 2 1 3 in the file: pairs (0, 2) and (1, 3) as neighbours."""
    settings = Qwen3Settings(
        width=4, num_layers=1, num_heads=2, num_kv_heads=1, head_width=4, mlp_width=4, vocabulary_size=320,
        query_key_norm=False,
    )  # fmt: skip
    weights = tiny_weights(settings)
    rows = np.tile(np.arange(8.0, dtype=np.float32)[:, None], (1, 4))
    weights["layers"]["q"] = rows.T[None]

    def as_in_a_file(plan):
        plan["tensors"]["blk.0.attn_q.weight"] = rows[[0, 2, 1, 3, 4, 6, 5, 7]]

    write_gguf(tmp_path / "one.gguf", settings, weights, change=as_in_a_file)
    convert_gguf(tmp_path / "one.gguf", tmp_path / "made")
    found = load_file(tmp_path / "made" / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "F16"])
def test_blocks_become_the_numbers_they_stand_for(tmp_path, kind):
    settings = Qwen3Settings(
        width=32, num_layers=1, num_heads=4, num_kv_heads=2, head_width=8, mlp_width=64, vocabulary_size=320,
        query_key_norm=False,
    )  # fmt: skip
    weights = tiny_weights(settings)
    write_gguf(tmp_path / "one.gguf", settings, weights, kind=kind)
    convert_gguf(tmp_path / "one.gguf", tmp_path / "made")
    found = load_weights(tmp_path / "made")["layers"]["down"]
    expected = weights["layers"]["down"]
    step = np.abs(expected).max() / {"Q8_0": 120, "Q4_1": 7, "F16": 2000}[kind]
    assert 0 < np.abs(np.asarray(found) - expected).max() < step


def test_a_block_of_q4_1_by_hand(tmp_path):
    """32 weights of one block: d = 0.5, m = -2, nibbles low then high: w = d q + m."""
    from gguf.quants import dequantize

    nibbles = np.arange(32) % 16
    packed = (nibbles[:16] | nibbles[16:] << 4).astype(np.uint8)
    block = np.concatenate([np.array([0.5, -2.0], np.float16).view(np.uint8), packed])
    found = dequantize(block[None], gguf.GGMLQuantizationType.Q4_1)[0]
    np.testing.assert_array_equal(found, 0.5 * nibbles - 2.0)


def test_qwen3_files_are_read_too_and_their_rows_stay(tmp_path):
    settings = Qwen3Settings(
        width=32, num_layers=1, num_heads=4, num_kv_heads=2, head_width=16, mlp_width=64, vocabulary_size=320,
        tied_embeddings=False,
    )  # fmt: skip
    weights = tiny_weights(settings)

    def as_qwen2_splits(plan):
        plan["pre"] = "qwen2"

    write_gguf(tmp_path / "one.gguf", settings, weights, change=as_qwen2_splits)
    convert_gguf(tmp_path / "one.gguf", tmp_path / "made")
    assert settings_from_json(tmp_path / "made") == settings
    found = load_weights(tmp_path / "made")
    np.testing.assert_array_equal(found["layers"]["q"], weights["layers"]["q"])
    np.testing.assert_array_equal(found["unembedding"], weights["unembedding"])


def test_biases_are_turned_with_their_rows(tmp_path):
    settings = Qwen3Settings(
        width=32, num_layers=1, num_heads=4, num_kv_heads=2, head_width=8, mlp_width=64, vocabulary_size=320,
        query_key_norm=False, attention_bias=True,
    )  # fmt: skip
    weights = tiny_weights(settings)
    write_gguf(tmp_path / "one.gguf", settings, weights)
    convert_gguf(tmp_path / "one.gguf", tmp_path / "made")
    found = load_weights(tmp_path / "made")["layers"]
    for name in ("q_bias", "k_bias", "v_bias", "o_bias"):
        np.testing.assert_array_equal(found[name], weights["layers"][name], err_msg=name)


def test_the_tokenizer_splits_digits_and_keeps_control_tokens_whole(tmp_path):
    from lts_jax.models.chat_format import ChatFormat

    pytest.importorskip("jinja2", reason="needs the extra local")
    write_gguf(tmp_path / "tiny.gguf")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "made")
    chat = ChatFormat(tmp_path / "made")
    tokens = [chat.tokenizer.id_to_token(one) for one in chat.prompt([{"role": "user", "content": "YES 204"}])]
    assert tokens[0] == "<|im_start|>" and "<|im_end|>" in tokens
    assert "YES" in tokens and tokens[tokens.index("YES") + 1 :][:4] == ["Ġ", "2", "0", "4"]
    assert chat.text([chat.tokenizer.token_to_id(one) for one in ("YES", "<|im_end|>")]) == "YES"
    assert chat.end_ids[0] == vocabulary()[0].index("<|im_end|>") == 2
    assert "im_start" in TEMPLATE


def _set(name, value):
    return lambda plan: plan["fields"].update({name: value})


WRONG = {
    "family": (lambda plan: plan.update(family="gemma3"), "architecture: expected qwen3 or llama, found 'gemma3'"),
    "quantisation": (
        lambda plan: plan["kinds"].update({"blk.0.attn_q.weight": "TQ1_0"}),
        "tensor blk.0.attn_q.weight: expected blocks of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, found TQ1_0",
    ),
    "no merges": (lambda plan: plan.update(merges=[]), "tokenizer.ggml.merges: expected the merges"),
    "odd merges": (lambda plan: plan.update(merges=["nosuch thing"]), "merges: expected pairs of tokens"),
    "other tokenizer": (lambda plan: plan.update(model="llama"), "found 'llama' of 'smollm'"),
    "other splits": (lambda plan: plan.update(pre="poro"), "found 'gpt2' of 'poro'"),
    "no tensor": (lambda plan: plan["tensors"].pop("blk.1.ffn_up.weight"), "expected tensor blk.1.ffn_up.weight, f"),
    "a tensor too many": (
        lambda plan: plan["tensors"].update({"blk.0.attn_sinks.weight": np.zeros(4, np.float32)}),
        "tensor blk.0.attn_sinks.weight: expected no such tensor in a Llama",
    ),
    "another shape": (
        lambda plan: plan["tensors"].update({"blk.0.attn_k.weight": np.zeros((8, 32), np.float32)}),
        "tensor blk.0.attn_k.weight: expected shape [16, 32], found [8, 32]",
    ),
    "experts": (_set("expert_count", 4), "expert_count: expected none, found 4"),
    "part of the head turns": (_set("rope.dimension_count", 4), "rope.dimension_count: expected 8, found 4"),
    "heads": (_set("attention.head_count_kv", 3), "num_heads: expected a multiple of num_kv_heads = 3, got 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, name):
    change, message = WRONG[name]
    settings = Qwen3Settings(
        width=256 if name == "quantisation" else 32, num_layers=2, num_heads=4, num_kv_heads=2, head_width=8,
        mlp_width=64, vocabulary_size=320, query_key_norm=False,
    )  # fmt: skip
    write_gguf(tmp_path / "one.gguf", settings, change=change)
    with pytest.raises(UserError) as caught:
        convert_gguf(tmp_path / "one.gguf", tmp_path / "made")
    assert str(caught.value).startswith(f"{tmp_path / 'one.gguf'}: ") and message in str(caught.value)
    assert "\n" not in str(caught.value) and not (tmp_path / "made").exists()


@pytest.mark.parametrize("kept", [2, 20, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path, kept):
    path = tmp_path / "one.gguf"
    write_gguf(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(UserError, match=r"one\.gguf: expected a (whole )?GGUF file"):
        convert_gguf(path, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_no_file_and_another_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        convert_gguf(tmp_path / "none.gguf", tmp_path / "made")
    (tmp_path / "a.gguf").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(UserError, match=r"a\.gguf: expected a GGUF file, found another"):
        convert_gguf(tmp_path / "a.gguf", tmp_path / "made")
