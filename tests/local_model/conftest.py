"""The tiny Llama of these tests, made once; it lies beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A folder with a tiny random Llama and its tokenizer."""
    pytest.importorskip("tokenizers", reason="needs the extra local")
    from tiny_llama import write_folder

    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_folder(folder, context=8_192)
    return folder
