"""A tiny random Qwen3 in the files of a real one: the whole path of the paper's controller without a download."""

import string
from pathlib import Path

import jax

from lts_jax.errors import UserError
from lts_jax.models.qwen3 import Qwen3Settings, init_weights
from lts_jax.models.tokens import ANSWERS
from lts_jax.models.weights import save_weights
from lts_jax.storage import write_text

TINY = Qwen3Settings(
    width=64, num_layers=2, num_heads=4, num_kv_heads=2, head_width=16, mlp_width=128, vocabulary_size=512
)


def write_tiny(folder: Path | str, *, seed: int = 0, settings: Qwen3Settings = TINY) -> None:
    """Write `config.json`, `model.safetensors` and `tokenizer.json` (bytes, printable pairs, NO and YES) to `folder`.

    Raises:
        UserError: the folder holds something, or the extra `qwen` is missing.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: expected a new or empty folder")
    tokenizer = tiny_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder, settings, init_weights(settings, jax.random.key(seed)))
    write_text(folder / "tokenizer.json", tokenizer)


def tiny_tokenizer() -> str:
    """A byte-level BPE tokenizer as JSON. Its merges are fixed, so that it needs no training text."""
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    except ModuleNotFoundError:
        raise UserError("a Qwen3 tokenizer needs the extra qwen: pip install 'lts-jax[qwen]'") from None
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", letter) for letter in string.ascii_lowercase]
    merges += [(one, other) for one in "aeiou" for other in "nrst"]
    merges += [("N", "O"), ("E", "S"), ("Y", "ES")]
    words = [*letters, *("".join(pair) for pair in merges)]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    assert all(answer in vocabulary for answer in ANSWERS)
    return str(tokenizer.to_str())
