"""Proxies and certificates of the environment that cannot be used are one line that names the variable."""

import asyncio

import pytest

from lts_jax.errors import UserError
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.llm.proxy_and_certificates import check_environment
from lts_jax.memory.openai_embeddings import OpenAIEncoder

URL = "https://models.example/v1"
PROXIES = [f"{kind}_{end}" for kind in ("ALL", "HTTP", "HTTPS", "NO") for end in ("PROXY", "proxy")]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef0123456789abcdef")
    for name in (*PROXIES, *(name.lower() for name in PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "variable, address, told",
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "ALL_PROXY: a SOCKS proxy needs the package socksio"),
        ("all_proxy", "socks5h://me:secret@127.0.0.1:9", "all_proxy: a SOCKS proxy needs"),
        ("HTTPS_PROXY", "socks://127.0.0.1:9", "HTTPS_PROXY: expected a proxy http://host:port"),
        ("https_proxy", "ftp://127.0.0.1:9", "https_proxy: expected a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_names_its_variable(variable, address, told, monkeypatch):
    monkeypatch.setenv(variable, address)
    monkeypatch.setattr("lts_jax.llm.proxy_and_certificates.find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        OpenAIChatModel(OpenAIChatSettings("tiny", URL))
    assert str(caught.value).startswith(told) and "secret" not in str(caught.value)
    with pytest.raises(UserError, match=variable):
        OpenAIEncoder("small", 2, URL)
    OpenAIChatModel(OpenAIChatSettings("tiny", "http://127.0.0.1:1/v1"))  # not asked for this machine
    monkeypatch.setenv("NO_PROXY", "models.example")
    OpenAIChatModel(OpenAIChatSettings("tiny", URL))


def test_proxies_that_can_be_used_are_let_be(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setattr("lts_jax.llm.proxy_and_certificates.find_spec", lambda name: name)  # socksio is there
    check_environment(URL)


def test_certificates_that_are_not_there_or_none_name_the_variable(tmp_path, monkeypatch):
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for variable, path, told in (
        ("SSL_CERT_FILE", "/no/such/cacert.pem", "expected a file of certificates, and '/no/such/cacert.pem' is none"),
        ("SSL_CERT_FILE", str(tmp_path), "expected a file of certificates"),
        ("SSL_CERT_FILE", str(garbage), "cannot be read"),
        ("SSL_CERT_DIR", str(garbage), "expected a folder of certificates"),
    ):
        monkeypatch.setenv(variable, path)
        with pytest.raises(UserError, match=f"^{variable}: ") as caught:
            OpenAIChatModel(OpenAIChatSettings("tiny", URL))
        assert told in str(caught.value) and "\n" not in str(caught.value)
        monkeypatch.delenv(variable)
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/cacert.pem")
    check_environment("http://models.example/v1")  # no certificates are needed
    asyncio.run(OpenAIChatModel(OpenAIChatSettings("tiny", "http://127.0.0.1:1/v1")).close())
