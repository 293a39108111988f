"""`lts models get` without a network: what it fetches, how it checks it, and one line when it cannot."""

import socket

import jax
import numpy as np
import pytest

from lts_jax.cli import main
from lts_jax.models.qwen3 import Qwen3Settings, abstract_weights
from lts_jax.models.weights import digest, save_weights

hub = pytest.importorskip("huggingface_hub")
tokenizers = pytest.importorskip("tokenizers")

SETTINGS = Qwen3Settings(
    width=8, num_layers=1, num_heads=2, num_kv_heads=1, head_width=4, mlp_width=6, vocabulary_size=11
)


def answers(vocabulary):
    """A tokenizer of whole words."""
    return tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab=vocabulary, unk_token="NO"))


def fails(capsys, *words):
    """The one line of a command that must fail with code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1 and said.startswith("lts: ")
    return said


def test_it_fetches_the_needed_files_and_checks_them(tmp_path, monkeypatch, capsys):
    asked = []
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_weights(SETTINGS))

    def fetch(repository, *, repo_type, revision, local_dir, allow_patterns):
        asked.append((repository, revision, local_dir, allow_patterns))
        save_weights(local_dir, SETTINGS, zeros)
        answers({"NO": 4, "YES": 9}).save(str(local_dir / "tokenizer.json"))

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    main(["models", "get", "Qwen/Qwen3-0.6B", "--to", str(tmp_path), "--revision", "main"])
    said = capsys.readouterr().out
    # 11 * 8 + 8 * (8 + 4 + 4) + 8 * 8 + 3 * 8 * 6 + 2 * 8 + 2 * 4 + 8
    assert "456 parameters in 1 layers of width 8; NO is token 4, YES is 9" in said and digest(tmp_path) in said
    assert asked[0][:3] == ("Qwen/Qwen3-0.6B", "main", tmp_path)
    assert {"config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"} <= set(asked[0][3])


def test_a_repository_of_another_family_is_refused(tmp_path, monkeypatch, capsys):
    def fetch(repository, *, local_dir, **_):
        (local_dir / "config.json").write_text('{"model_type": "gpt2"}')

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    said = fails(capsys, "models", "get", "openai-community/gpt2", "--to", str(tmp_path))
    assert "config.json: model_type: expected 'qwen3' or 'llama', found 'gpt2'" in said


def test_without_a_network_it_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://hub.invalid")
    said = fails(capsys, "models", "get", "Qwen/Qwen3-0.6B", "--to", str(tmp_path / "new"))
    assert "Qwen/Qwen3-0.6B: the hub cannot be reached (" in said and "no network in this test)" in said
    assert not (tmp_path / "new").exists()
    said = fails(capsys, "models", "get", "not a name", "--to", str(tmp_path / "new"))
    assert "not a name: expected the name of a repository" in said
