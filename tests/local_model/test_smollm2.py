"""SmolLM2-135M as `lts models get smollm2` makes it: logits and greedy tokens are those of `transformers`.

The literals were computed by transformers 5.23 and torch 2.13 in float32 from the GGUF file itself, not from our
folder, so that they also say whether its rows were put in order.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from lts_jax.models.decoding import empty_row, extend_rows, load_decoder
from lts_jax.models.qwen3_settings import settings_from_json

FOLDER = Path(os.environ.get("LTS_SMOLLM2", "smollm2"))
pytest.importorskip("tokenizers", reason="needs the extra local")
pytest.importorskip("jinja2", reason="needs the extra local")
if not (FOLDER / "model.safetensors").is_file():
    pytest.skip("no SmolLM2: its weights are fetched by a command", allow_module_level=True)

TOKENS = [(place * place * 97 + 31 * place) % 49152 for place in range(64)]
PROBED = [0, 28, 260, 1000, 2683, 9000, 20000, 49151]  # tokens whose logits stand here, after tokens 0, 7, 31 and 63
LOGITS = {
    0: [18.6242, 28.7509, 25.8334, 23.3852, 22.4265, 17.9651, 16.7508, 10.9223],
    7: [17.0606, 22.9044, 18.8275, 19.2807, 14.0644, 11.1299, 11.3172, 10.9598],
    31: [22.4703, 24.3738, 25.3422, 22.588, 22.8455, 22.2097, 16.9312, 16.7978],
    63: [20.2198, 24.4449, 23.2714, 19.8527, 22.0646, 20.074, 16.8297, 15.1845],
}
MESSAGES = [
    {"role": "system", "content": "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {
        "role": "user",
        "content": "The bridge was opened in 1894 and is 244 metres long. "
        "Who built it, and why does its colour matter to sailors?",
    },
]
PROMPT = [
    1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2, 198, 1,
    4093, 198, 504, 7395, 436, 6572, 281, 216, 33, 40, 41, 36, 284, 314, 216, 34, 36, 36, 13897, 986, 30, 6244, 2837,
    357, 28, 284, 1701, 1072, 624, 7302, 2631, 288, 22088, 47, 2, 198, 1, 520, 9531, 198,
]  # fmt: skip
GREEDY = [
    504, 7395, 436, 2837, 411, 260, 2938, 5575, 28, 260, 476, 61, 10247, 901, 506, 942, 1241, 361, 18, 281, 216, 33, 40,
    41, 36, 30, 378, 7395, 436, 2724, 411, 260,
]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    settings = settings_from_json(FOLDER)
    return settings, load_decoder(FOLDER, settings)


def test_its_shape(model):
    settings, _ = model
    found = (settings.num_layers, settings.width, settings.num_heads, settings.num_kv_heads, settings.head_width)
    assert found == (30, 576, 9, 3, 64) and settings.mlp_width == 1536 and settings.vocabulary_size == 49_152
    assert settings.rope_theta == 1e5 and settings.norm_epsilon == 1e-5 and settings.tied_embeddings
    assert not settings.query_key_norm and not settings.attention_bias


def test_a_conversation_becomes_these_tokens():
    from lts_jax.models.chat_format import ChatFormat

    chat = ChatFormat(FOLDER)
    assert chat.prompt(MESSAGES) == PROMPT
    assert chat.prompt(MESSAGES[1:]) == PROMPT  # its template says so by itself
    assert chat.tokenizer.id_to_token(chat.end_ids[0]) == "<|im_end|>"


def test_logits_are_those_of_transformers_to_a_thousandth(model):
    settings, weights = model
    row, found = empty_row(settings, 256), {}
    for place, token in enumerate(TOKENS):
        found[place] = extend_rows(settings, weights, [row], [[token]], 1)[0]
    for place, expected in LOGITS.items():
        np.testing.assert_allclose(found[place][PROBED], expected, atol=1e-3)
    whole = extend_rows(settings, weights, [empty_row(settings, 256)], [TOKENS], 64)[0]
    np.testing.assert_allclose(whole, found[63], atol=1e-3)


def test_thirty_two_greedy_tokens_are_those_of_transformers(model):
    settings, weights = model
    row = empty_row(settings, 256)
    logits, found = extend_rows(settings, weights, [row], [PROMPT], 64)[0], []
    for _ in GREEDY:
        found.append(int(logits.argmax()))
        logits = extend_rows(settings, weights, [row], [[found[-1]]], 1)[0]
    assert found == GREEDY


@pytest.mark.slow
def test_all_logits_are_those_of_transformers_on_our_folder(model):
    torch = pytest.importorskip("torch", reason="needs the extra parity")
    transformers = pytest.importorskip("transformers", reason="needs the extra parity")
    settings, weights = model
    theirs = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = theirs(torch.tensor([TOKENS])).logits[0].numpy()
    row = empty_row(settings, 256)
    for place, token in enumerate(TOKENS):
        found = extend_rows(settings, weights, [row], [[token]], 1)[0]
        assert np.abs(found - expected[place]).max() < 1e-3
