"""Which URLs and addresses are refused. The tables are the specification."""

import ipaddress
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.live.tools.addresses import (
    Refused,
    check_address,
    embedded_ipv4,
    join,
    read_address,
    read_networks,
    read_url,
)

REFUSED_URLS = [
    "",
    "example.org",
    "//example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "data:text/html,hello",
    "javascript:alert(1)",
    "gopher://example.org:70/x",
    "http://",
    "http:///etc/passwd",
    "http://user@example.org/",
    "http://user:word@example.org/",
    "http://example.org@127.0.0.1/",
    "http://127.0.0.1\\@example.org/",
    "http://exa mple.org/",
    "http://example.org/a b",
    "http://example.org/\r\nHost: other",
    "http://example.org\t/",
    "http://2130706433/",  # 127.0.0.1 as one decimal number
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://127.0.0.1.5/",
    "http://256.0.0.1/",
    "http://1.2.3.0x/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://\uff11\uff12\uff17.1/",  # full-width digits that fold to 127.1
    "http://[::1%25lo]/",
    "http://[::1",
    "http://[v1.fe80::1]/",
    "http://ex..ample.org/",
    "http://-example.org/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:2e1/",
    "http://xn--\u00fc.example/",
    "http://" + "a" * 300 + ".example/",
    "http://example.org/" + "a" * 8_000,
]


@pytest.mark.parametrize("url", REFUSED_URLS, ids=lambda url: ascii(url)[:50])
def test_ambiguous_and_foreign_urls_are_refused(url):
    with pytest.raises(Refused) as refused:
        read_url(url)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("url", "host", "port", "asked"),
    [
        ("http://example.org", "example.org", 80, "http://example.org/"),
        ("HTTPS://Example.ORG./a?b=c#d", "example.org", 443, "https://example.org/a?b=c"),
        ("https://example.org:8443/", "example.org", 8443, "https://example.org:8443/"),
        ("http://example.org:80/x", "example.org", 80, "http://example.org/x"),
        ("http://b\u00fccher.example/\u00e4?\u00f6=1", "xn--bcher-kva.example", 80, None),
        ("http://127.0.0.1/", "127.0.0.1", 80, "http://127.0.0.1/"),
        ("http://\uff11\uff12\uff17.0.0.1/", "127.0.0.1", 80, "http://127.0.0.1/"),
        ("http://127\u30020\u30020\u30021/", "127.0.0.1", 80, "http://127.0.0.1/"),
        ("http://[0:0:0:0:0:0:0:1]:8080/", "::1", 8080, "http://[::1]:8080/"),
        ("http://a_b.example/%7Ex/(y)", "a_b.example", 80, "http://a_b.example/%7Ex/(y)"),
    ],
)
def test_urls_have_one_reading(url, host, port, asked):
    target = read_url(url)
    assert (target.host, target.port) == (host, port)
    assert asked is None or target.url == asked
    assert read_url(target.url) == target


def test_only_the_ports_of_the_setting_are_asked():
    assert read_url("https://example.org:8443/", ports=(443, 8443)).port == 8443
    with pytest.raises(Refused, match="port 22 is not allowed, only 80, 443"):
        read_url("http://example.org:22/", ports=(80, 443))


PIECES = (
    st.sampled_from(
        ["http", "https", "ftp", ":", "/", "//", "\\", "@", "?", "#", "[", "]", "%", ".", "..", "-", "_", "&", "=", ";"]
    )
    | st.sampled_from(
        [
            "127",
            "0",
            "1",
            "0x7f",
            "0177",
            "2130706433",
            "::1",
            "::ffff:127.0.0.1",
            "a",
            "b.example",
            "EXAMPLE",
            "%2e",
            "%40",
        ]
    )
    | st.sampled_from(
        ["xn--", ":80", ":99999", "localhost", "\u00fc", "\uff11", "\u3002", "\u2100", "\u202e", " ", "\t", "\x00"]
    )
)


@given(
    st.lists(PIECES, max_size=12).map("".join)
    | st.lists(PIECES, max_size=8).map(lambda each: "http://" + "".join(each))
)
@settings(max_examples=500)
def test_a_url_that_is_read_has_one_reading_for_everybody(url):
    try:
        target = read_url(url)
    except Refused:
        return
    assert target.url.isascii() and not set(target.url) & set(" \\\t\r\n\x00") and "@" not in target.authority
    assert read_url(target.url) == target and urlsplit(target.url).hostname == target.host
    last = target.host.rpartition(".")[2]
    if ":" in target.host or re.fullmatch(r"\d+|0x[0-9a-f]*", last):
        assert str(ipaddress.ip_address(target.host)) == target.host


REFUSED_ADDRESSES = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo; its last 32 bits inverted are 127.0.0.1
    "2001:4860::5efe:7f00:1",  # ISATAP
    "2001:4860::200:5efe:a00:1",
    "2001:db8::1",
    "fd00::5efe:101:101",  # ISATAP inside a private network
    "3fff::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
]


@pytest.mark.parametrize("text", REFUSED_ADDRESSES)
def test_addresses_that_are_not_public_are_refused(text):
    with pytest.raises(Refused):
        check_address(read_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_public_addresses_pass(text):
    check_address(read_address(text))


def test_an_allowed_network_opens_itself_and_nothing_else():
    allowed = read_networks(["127.0.0.0/8", "fd00::/8"])
    check_address(read_address("127.0.0.1"), allowed)
    check_address(read_address("::ffff:127.0.0.1"), allowed)
    check_address(read_address("fd00::1"), allowed)
    for text in ("169.254.169.254", "10.0.0.1", "::1", "fc00::1"):
        with pytest.raises(Refused):
            check_address(read_address(text), allowed)
    with pytest.raises(ValueError, match=r"expected networks such as 127\.0\.0\.0/8"):
        read_networks(["localhost"])


def test_the_carried_address_is_found():
    assert embedded_ipv4(ipaddress.ip_address("2002:102:304::")) == ipaddress.ip_address("1.2.3.4")
    assert embedded_ipv4(ipaddress.ip_address("2606:4700::1111")) is None
    assert embedded_ipv4(ipaddress.ip_address("::1")) is None


def test_references_are_joined_without_fragments():
    assert join("http://a.example/b/c", "../d?e#f") == "http://a.example/d?e"
    with pytest.raises(Refused):
        join("http://a.example/", "http://[::1")
