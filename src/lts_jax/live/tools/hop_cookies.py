"""Cookies along the redirects of one fetch: many sites set one, send back, and without it go round for ever."""

from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.request import Request


class HopCookies:
    """What servers set on the way, given back to those that may have it. It ends with the fetch that it belongs to."""

    def __init__(self) -> None:
        """None yet."""
        self._jar = CookieJar(DefaultCookiePolicy(strict_domain=True))  # nothing is set for a whole country

    def take(self, url: str, set_cookie: str) -> None:
        """Keep what the server at `url` set, one cookie a line; what it may not set is passed over."""
        told = Message()
        for line in filter(None, set_cookie.split("\n")):
            told["Set-Cookie"] = line
        if told.keys():
            response: Any = _Told(told)
            self._jar.extract_cookies(response, Request(url))

    def header(self, url: str) -> str:
        """The Cookie header for a request, or "" for none."""
        request = Request(url)
        self._jar.add_cookie_header(request)
        header = str(request.get_header("Cookie") or "")
        return header if header.isprintable() else ""


class _Told:
    """As much of a response as the jar asks for."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers
