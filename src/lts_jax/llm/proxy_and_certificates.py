"""Proxies and certificates of the environment, checked before any connection: one line that names the variable."""

import os
import ssl
import urllib.request
from importlib.util import find_spec
from urllib.parse import urlsplit

from lts_jax.errors import UserError, show

_PROXIES = ("http", "https", "all")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def has_proxy(url: str) -> bool:
    """Whether the environment names a proxy for a URL."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    return bool((parts.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(parts.hostname or ""))


def check_environment(url: str, *, is_local: bool = False) -> None:
    """Refuse what would stop every call to a URL. Proxies are not asked for this machine.

    Raises:
        UserError: a proxy of a kind that cannot be used, or certificates that are not there or cannot be read.
    """
    if not is_local and has_proxy(url):
        _check_proxies()
    if urlsplit(url).scheme == "https":
        for variable in _CERTIFICATES:
            _check_certificates(variable)


def _check_proxies() -> None:
    proxies = urllib.request.getproxies()
    for kind in _PROXIES:
        address = proxies.get(kind)
        if not address:
            continue
        scheme = address.partition("://")[0].lower() if "://" in address else "http"
        variable = f"{kind}_proxy" if os.environ.get(f"{kind}_proxy") else f"{kind.upper()}_PROXY"
        if scheme in ("socks5", "socks5h") and find_spec("socksio") is None:
            raise UserError(
                f"{variable}: a SOCKS proxy needs the package socksio (pip install socksio); or unset {variable}, or "
                "name an http:// proxy"
            )
        if scheme not in ("http", "https", "socks5", "socks5h"):
            raise UserError(
                f"{variable}: expected a proxy http://host:port, https:// or socks5://, got {show(scheme + '://...')}; "
                f"unset {variable}, or name the host in NO_PROXY"
            )


def _check_certificates(variable: str) -> None:
    path = os.environ.get(variable)
    if not path:
        return
    is_file = variable.endswith("FILE")
    if not (os.path.isfile(path) if is_file else os.path.isdir(path)):
        kind = "file" if is_file else "folder"
        raise UserError(f"{variable}: expected a {kind} of certificates, and {show(path)} is none; unset or correct it")
    try:
        ssl.create_default_context(cafile=path if is_file else None, capath=None if is_file else path)
    except (OSError, ssl.SSLError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{variable}: the certificates in {show(path)} cannot be read ({problem}); unset it") from None
