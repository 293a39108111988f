"""Which URLs and which network addresses a tool may ask. Text and numbers only; nothing here touches a network.

A model, or a page that it read, chooses the URL, so it must not lead to this machine or to its neighbours. Names are
judged by the addresses they resolve to, never by their spelling; spellings of numbers that programs read differently
(decimal, hex, octal, short forms) are refused altogether.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

MAX_URL_CHARACTERS = 8_000
_FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
_NUMBER_LIKE = re.compile(r"(?:\d+|0x[0-9a-f]*)")
_KEPT = "/%:@!$&'()*+,;=~?[]"  # characters of a path or a query that stay as they are
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16")
)  # which `ipaddress` knows in newer versions only, or in part
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refused(ValueError):
    """A URL or an address that a tool must not ask, in one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: `host` in lower-case ASCII or an address without brackets, `path` with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as they stand in the URL and in the Host header; a default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL that this is, without a fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port


def read_url(url: str, ports: Sequence[int] = ()) -> Target:
    """The target of an absolute http or https URL; `ports` are the allowed ones, empty for any.

    Raises:
        Refused: another scheme, a user name, a spelling that may be read in two ways, a port that is not allowed.
    """
    url = url.strip()
    if len(url) > MAX_URL_CHARACTERS:
        raise Refused(f"a URL of more than {MAX_URL_CHARACTERS} characters")
    if _FORBIDDEN_CHARACTERS.search(url):
        raise Refused(f"blanks, control characters and backslashes have no place in a URL: {url[:100]!r}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"no URL: {url[:100]!r} ({error})") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise Refused(f"expected an http or https URL, got {url[:100]!r}")
    if "@" in parts.netloc:
        raise Refused("a URL with a user name or password is not asked")
    host = read_host(parts.hostname or "")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port < 1 or (ports and port not in ports):
        raise Refused(f"port {port} is not allowed, only {', '.join(map(str, ports))}")
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return Target(parts.scheme, host, port, quote(parts.path or "/", safe=_KEPT) + query)


def read_host(host: str) -> str:
    """A host in its one spelling: lower-case ASCII name without a last dot, or a plain IPv4 or IPv6 address.

    Raises:
        Refused: empty, not a host name, or a number in another form than four plain decimals.
    """
    if ":" in host:
        if "%" in host:
            raise Refused("an IPv6 address with a zone is not asked")
        return str(read_address(host))
    if not host.isascii():
        host = _to_ascii(host)
    host = host.lower().removesuffix(".")
    if not host or ".." in host or _HOST.fullmatch(host) is None:
        raise Refused(f"no host name: {host[:100]!r}")
    if _NUMBER_LIKE.fullmatch(host.rpartition(".")[2]):
        return str(read_address(host))
    return host


def read_address(text: str) -> Address:
    """An address in its plain spelling.

    Raises:
        Refused: decimal, hex, octal and short forms, and whatever is no address.
    """
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f"expected an address as four plain decimals or plain IPv6, got {text[:100]!r}") from None


def join(base_url: str, reference: str) -> str:
    """A reference on a page as an absolute URL, without its fragment.

    Raises:
        Refused: not a URL.
    """
    try:
        return urljoin(base_url, reference.strip().replace(" ", "%20")).partition("#")[0]
    except ValueError as error:
        raise Refused(f"no URL: {reference[:100]!r} ({error})") from None


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks such as "127.0.0.0/8".

    Raises:
        ValueError: not a network.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"allowed_networks: expected networks such as 127.0.0.0/8, got {error}") from None


def check_address(address: Address, allowed: Sequence[Network] = ()) -> None:
    """Let public unicast addresses pass, and those of the `allowed` networks.

    Raises:
        Refused: private, loopback, link-local, shared, multicast, reserved, or IPv6 that carries such an IPv4 address.
    """
    carried = embedded_ipv4(address)
    if carried is not None:
        try:
            check_address(carried, allowed)
        except Refused as refused:
            raise Refused(f"{address} carries an IPv4 address: {refused}") from None
        if _is_translated(address):
            return  # only the carried address is ever asked
    if any(address.version == network.version and address in network for network in allowed):
        return
    for name in ("loopback", "link_local", "multicast", "unspecified", "reserved", "private", "site_local"):
        if getattr(address, f"is_{name}", False):
            raise Refused(f"{address} is not a public address ({name.replace('_', '-')})")
    if not address.is_global or any(
        address in network for network in _NOT_PUBLIC if network.version == address.version
    ):
        raise Refused(f"{address} is not a public address")


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translated or tunnelled IPv6 address leads to, if it is one."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    low = int(address) & 0xFFFF_FFFF
    is_isatap = (int(address) >> 32) & 0xFCFF_FFFF == 0x0000_5EFE  # its two bits "universal" and "group" vary
    is_compatible = address in _IPV4_COMPATIBLE and low > 0xFFFF
    if is_isatap or is_compatible or any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(low)
    return None


def _is_translated(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return False
    is_nat64 = any(address in network for network in _NAT64)
    return address.ipv4_mapped is not None or address.sixtofour is not None or is_nat64


def _to_ascii(host: str) -> str:
    import idna

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise Refused(f"no host name: {host[:100]!r}") from None
