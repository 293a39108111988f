"""Adapters to and from `peft`: the same logits and gradients both ways; every file that does not fit is refused."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.lora import TARGETS, LoraSettings, Tuning, init_adapters, merge
from lts_jax.models.lora_files import load_adapters, save_adapters
from lts_jax.models.qwen3 import Qwen3Settings, abstract_weights, with_weights
from lts_jax.models.weights import load_weights, save_weights

SETTINGS = Qwen3Settings(
    width=16, num_layers=2, num_heads=4, num_kv_heads=2, head_width=6, mlp_width=20, vocabulary_size=23
)
LORA = LoraSettings(rank=3, alpha=4.5, targets=("q", "o", "down"), dropout=0.1)
TOKENS = (np.arange(12) * 5 % 23).reshape(2, 6)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Folder and weights of a tiny base with weights large enough to matter."""
    folder = tmp_path_factory.mktemp("base")
    generator = np.random.default_rng(0)
    shapes = abstract_weights(SETTINGS)
    save_weights(folder, SETTINGS, jax.tree.map(lambda leaf: generator.normal(0, 0.3, leaf.shape).astype("f4"), shapes))
    return folder, load_weights(folder)


def random_adapters(lora, seed=1):
    """Adapters as after training: B is not zero."""
    fresh = init_adapters(SETTINGS, lora, jax.random.key(seed))
    return jax.tree.map(
        lambda leaf: leaf + 0.2 * jnp.cos(jnp.arange(leaf.size, dtype=float)).reshape(leaf.shape), fresh
    )


@partial(jax.jit, static_argnums=2)
def logits(weights, adapters, lora):
    """Causal, [2, 6, 23]."""
    qwen = with_weights(SETTINGS, weights)
    visible_bst = jnp.broadcast_to(jnp.tril(jnp.ones((6, 6), bool)), (2, 6, 6))
    position_bs = jnp.broadcast_to(jnp.arange(6), (2, 6))
    return qwen.logits(qwen(qwen.embed(TOKENS), position_bs, visible_bst, tuning=adapters and Tuning(adapters, lora)))


def peft_model(folder):
    """The base as `transformers` loads it."""
    return pytest.importorskip("transformers").Qwen3ForCausalLM.from_pretrained(folder, attn_implementation="eager")


def test_what_we_write_peft_reads(base, tmp_path):
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    folder, weights = base
    lora = replace(LORA, targets=TARGETS)
    adapters = random_adapters(lora)
    save_adapters(tmp_path, adapters, lora, SETTINGS, base=str(folder))
    model = peft.PeftModel.from_pretrained(peft_model(folder), tmp_path).eval()
    with torch.no_grad():
        expected = model(torch.tensor(TOKENS)).logits.numpy()
    found = logits(weights, adapters, lora)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(logits(weights, None, None) - expected).max() > 1e-2 * np.abs(expected).max()


def test_what_peft_writes_we_read_with_the_same_logits_gradients_and_merged_weights(base, tmp_path):
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    folder, weights = base
    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "gate_proj"], task_type="CAUSAL_LM", lora_dropout=0.0
    )
    model = peft.get_peft_model(peft_model(folder), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    lora, adapters = load_adapters(tmp_path, SETTINGS)
    assert lora == LoraSettings(rank=3, alpha=6.0, targets=("q", "v", "gate"))

    weight = np.sin(np.arange(2 * 6 * 23)).reshape(2, 6, 23).astype(np.float32)
    out = model(torch.tensor(TOKENS)).logits
    (out * torch.tensor(weight)).sum().backward()
    expected = out.detach().numpy()
    assert np.abs(logits(weights, adapters, lora) - expected).max() < 1e-5 * np.abs(expected).max()
    gradient = jax.jit(jax.grad(lambda adapters: jnp.sum(logits(weights, adapters, lora) * weight)))(adapters)
    theirs = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert len(theirs) == 12 == 2 * sum(map(len, gradient.values()))
    for target, module in (("q", "self_attn.q_proj"), ("v", "self_attn.v_proj"), ("gate", "mlp.gate_proj")):
        for layer in range(2):
            for part in ("a", "b"):
                name = f"base_model.model.model.layers.{layer}.{module}.lora_{part.upper()}.default.weight"
                expected = theirs[name].numpy().T
                found = gradient[target][part][layer]
                assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()

    merged = model.merge_and_unload().state_dict()
    ours = merge(weights, adapters, lora)
    for layer in range(2):
        expected = merged[f"model.layers.{layer}.self_attn.v_proj.weight"].numpy().T
        np.testing.assert_allclose(ours["layers"]["v"][layer], expected, rtol=1e-5, atol=1e-6)


def test_our_files_come_back_bit_by_bit(tmp_path):
    adapters = random_adapters(LORA)
    save_adapters(tmp_path, adapters, LORA, SETTINGS)
    lora, found = load_adapters(tmp_path, SETTINGS, LORA)
    assert lora == LORA
    jax.tree.map(np.testing.assert_array_equal, found, adapters)
    other_order = replace(LORA, targets=("down", "q", "o"))
    assert load_adapters(tmp_path, SETTINGS, other_order)[0] == other_order


@pytest.fixture
def written(tmp_path):
    """A folder with good adapters, to be spoilt."""
    save_adapters(tmp_path, random_adapters(LORA), LORA, SETTINGS)
    return tmp_path


def refusal(folder, settings=SETTINGS, expected=None):
    """The one line that loading fails with."""
    with pytest.raises(UserError) as caught:
        load_adapters(folder, settings, expected)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (replace(LORA, rank=16), "adapter_config.json: r: expected rank 16, found 3"),
        (replace(LORA, alpha=16.0), "adapter_config.json: lora_alpha: expected 16, found 4.5"),
        (replace(LORA, targets=("q", "o")), "target_modules: expected adapters of q, o, found q, o, down"),
    ],
)
def test_adapters_of_other_settings_are_refused(written, expected, message):
    assert message in refusal(written, expected=expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 32}, r"expected shape \[3, 32\], found \[3, 16\]"),
        ({"num_layers": 3}, r"expected tensor .*layers.2.* of shape \[3, 16\], found none"),
        ({"num_layers": 1}, r"expected adapters of 1 layers, found also .*layers\.1\."),
    ],
)
def test_adapters_of_another_base_are_refused(written, changes, message):
    said = refusal(written, replace(SETTINGS, **changes))
    assert "adapter_model.safetensors: " in said
    with pytest.raises(UserError, match=message):
        load_adapters(written, replace(SETTINGS, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type: expected 'LORA', found 'LOHA'"),
        ({"use_dora": True}, "use_dora: expected none (plain LoRA), found True"),
        ({"use_rslora": True}, "use_rslora: expected none"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern: expected none"),
        ({"bias": "all"}, "bias: expected 'none', found 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: expected one that leaves the base weights alone"),
        ({"r": 4}, "expected shape [4, 16], found [3, 16]"),
        ({"r": None}, "expected r, lora_alpha and lora_dropout as numbers"),
        ({"target_modules": ["q_proj"]}, "target_modules: expected those of adapter_model.safetensors"),
    ],
)
def test_a_config_of_another_kind_is_refused(written, changes, message):
    path = written / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert message in refusal(written)


WHOLE = [
    f"model.layers.{layer}.{module}"
    for layer in (0, 1)
    for module in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj")
]


@pytest.mark.parametrize(
    "named",
    [
        WHOLE,
        [name.removeprefix("model.") for name in WHOLE],
        "all-linear",
        r".*\.(q|o|down)_proj",
        ["self_attn.q_proj", "o_proj", "down_proj"],
    ],
)
def test_modules_are_named_by_their_ends_or_whole(written, named):
    """As peft writes `all-linear`: whole names in a small model, ends of names in a large one."""
    path = written / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "target_modules": named}))
    assert load_adapters(written, SETTINGS)[0] == LORA
    if isinstance(named, list):
        for wrong in (named[1:], [*named, "mlp.up_proj"]):
            path.write_text(json.dumps({**json.loads(path.read_text()), "target_modules": wrong}))
            assert "target_modules: expected those of" in refusal(written)


def test_adapters_of_an_older_peft_are_named(written):
    (written / "adapter_model.safetensors").rename(written / "adapter_model.bin")
    said = refusal(written)
    assert "adapter_model.safetensors: no such file" in said
    assert said.endswith("adapter_model.bin is not read: save it again with safe_serialization=True")


def test_missing_foreign_and_broken_files_are_refused(written):
    from safetensors.numpy import load_file, save_file

    path = written / "adapter_model.safetensors"
    good = path.read_bytes()
    tensors = load_file(path)
    save_file({**tensors, "base_model.model.score.weight": np.ones(3, np.float32)}, path)
    assert "expected LoRA matrices of Qwen3's" in refusal(written)
    save_file({name: array.astype(np.float64) for name, array in tensors.items()}, path)
    assert "expected type F32, F16, BF16, found F64" in refusal(written)
    path.write_bytes(good[:-8])
    assert "adapter_model.safetensors: expected a whole safetensors file" in refusal(written)
    path.unlink()
    assert "adapter_model.safetensors: no such file" in refusal(written)
    (written / "adapter_config.json").unlink()
    assert "adapter_config.json: no such file" in refusal(written)
