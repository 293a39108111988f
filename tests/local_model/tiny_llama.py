"""A tiny random Llama in the files of real ones: a folder, and a GGUF file with its rows in that family's own order."""

import jax
import numpy as np

from lts_jax.models.qwen3 import Qwen3Settings, init_weights
from lts_jax.models.tiny_qwen3 import tiny_tokenizer
from lts_jax.models.weights import save_weights
from lts_jax.storage import write_text

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TINY = Qwen3Settings(
    width=32, num_layers=2, num_heads=4, num_kv_heads=2, head_width=8, mlp_width=64, vocabulary_size=320,
    rope_theta=1e4, norm_epsilon=1e-5, query_key_norm=False,
)  # fmt: skip


def tiny_weights(settings=TINY, seed=0):
    """Weights ten times as large as a fresh model's, norms around one, so that everything matters."""
    weights = init_weights(settings, jax.random.key(seed))
    wide = jax.tree.map(lambda leaf: np.asarray(leaf) * (1.0 if leaf.ndim == 1 else 10.0), weights)
    for name in ("attention_norm", "mlp_norm"):
        shape = wide["layers"][name].shape
        wide["layers"][name] = (1.0 + 0.3 * np.sin(np.arange(np.prod(shape)))).reshape(shape).astype(np.float32)
    for name in [name for name in wide["layers"] if name.endswith("_bias")]:
        shape = wide["layers"][name].shape
        wide["layers"][name] = (0.2 * np.cos(np.arange(np.prod(shape)))).reshape(shape).astype(np.float32)
    return wide


def vocabulary():
    """Tokens and merges: three control tokens, then those of the tiny Qwen3's tokenizer, then unused ones."""
    import json

    made = json.loads(tiny_tokenizer())["model"]
    words = sorted(made["vocab"], key=made["vocab"].get)
    tokens = [*CONTROL, *words]
    tokens += [f"<unused{number}>" for number in range(TINY.vocabulary_size - len(tokens))]
    merges = [" ".join(merge) if not isinstance(merge, str) else merge for merge in made["merges"]]
    return tokens, merges


def write_gguf(path, settings=TINY, weights=None, *, kind="F32", change=None):
    """A GGUF file as llama.cpp's converter makes it; `change` gets the writer's plan of fields and tensors first."""
    import gguf

    weights = tiny_weights(settings) if weights is None else weights
    family = "qwen3" if settings.query_key_norm else "llama"
    tokens, merges = vocabulary()
    plan = {
        "fields": {
            "block_count": settings.num_layers, "context_length": 256, "embedding_length": settings.width,
            "feed_forward_length": settings.mlp_width, "attention.head_count": settings.num_heads,
            "attention.head_count_kv": settings.num_kv_heads, "attention.key_length": settings.head_width,
            "rope.freq_base": settings.rope_theta, "attention.layer_norm_rms_epsilon": settings.norm_epsilon,
        },
        "family": family, "tokens": tokens, "merges": merges, "pre": "smollm", "model": "gpt2",
        "tensors": dict(_tensors(settings, weights)), "kinds": {},
    }  # fmt: skip
    if change is not None:
        change(plan)
    writer = gguf.GGUFWriter(path, plan["family"])
    for name, value in plan["fields"].items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{plan['family']}.{name}", value)
    writer.add_tokenizer_model(plan["model"])
    writer.add_tokenizer_pre(plan["pre"])
    writer.add_token_list(plan["tokens"])
    writer.add_token_types([3 if token in CONTROL else 1 for token in plan["tokens"]])
    if plan["merges"]:
        writer.add_token_merges(plan["merges"])
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, array in plan["tensors"].items():
        chosen = gguf.GGMLQuantizationType[plan["kinds"].get(name, kind if array.ndim > 1 else "F32")]
        writer.add_tensor(name, gguf.quants.quantize(array, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(folder, settings=TINY, weights=None, *, context=256):
    """The same model as a folder in Hugging Face's form, written without any GGUF."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    from lts_jax.models.qwen3_settings import write_settings
    from lts_jax.storage import write_json

    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder, settings, tiny_weights(settings) if weights is None else weights)
    write_settings(folder / "config.json", settings, context)
    tokens, merges = vocabulary()
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=pairs))
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    write_text(folder / "tokenizer.json", tokenizer.to_str())
    write_json(folder / "tokenizer_config.json", {"chat_template": TEMPLATE, "eos_token": "<|im_end|>"})


def _tensors(settings, weights):
    """Tensors by their names in a GGUF file, as [out, in], a Llama's rows of q and k turned to neighbouring pairs."""
    yield "token_embd.weight", np.asarray(weights["embedding"])
    yield "output_norm.weight", np.asarray(weights["final_norm"])
    if not settings.tied_embeddings:
        yield "output.weight", np.asarray(weights["unembedding"])
    names = {
        "attention_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
        "mlp_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
        "query_norm": "attn_q_norm", "key_norm": "attn_k_norm",
    }  # fmt: skip
    for ours, stacked in weights["layers"].items():
        for layer, array in enumerate(np.asarray(stacked)):
            table = np.ascontiguousarray(array.T)
            bare = ours.removesuffix("_bias")
            if bare in ("q", "k") and not settings.query_key_norm:
                heads = settings.num_heads if bare == "q" else settings.num_kv_heads
                table = _neighbours(table, heads)
            yield f"blk.{layer}.{names[bare]}.{'bias' if bare != ours else 'weight'}", table


def _neighbours(table, num_heads):
    """Row 2 i of a head is row i, row 2 i + 1 is row i + F / 2: written out as loops."""
    width = len(table) // num_heads
    turned = np.empty_like(table)
    for head in range(num_heads):
        for pair in range(width // 2):
            turned[head * width + 2 * pair] = table[head * width + pair]
            turned[head * width + 2 * pair + 1] = table[head * width + pair + width // 2]
    return turned
