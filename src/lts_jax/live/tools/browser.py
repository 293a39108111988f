"""Pages that need scripts: Chromium through Playwright, if both are installed and the setting asks for them.

Each load has a profile of its own that is thrown away, with the team's cookies carried over, and a guard proxy as its
only way out. Nothing is downloaded, no other window opens, and a load that is over its time is ended with its profile.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from lts_jax.live.tools.addresses import Refused, read_url
from lts_jax.live.tools.content_headers import read_content_type
from lts_jax.live.tools.fetch import Fetched, FetchFailure, FetchSettings, Resolve, fetch, status_line
from lts_jax.live.tools.guard_proxy import GuardProxy

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--disable-quic", "--no-first-run", "--no-pings",
    "--disable-features=MediaRouter,OptimizationHints,Translate,WebTransport,DirectSockets",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
_NOWHERE = "http://127.0.0.1:9"  # the browser's own traffic, outside of a load, ends here
_NO_WAY_AROUND = (
    "for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport']) delete window[name];"
)
_NOT_NEEDED = {"image", "media", "font"}
_MAX_COOKIES = 300  # of a team
_CLOSE_SECONDS = 5.0
_READY_SECONDS = 10.0
_NO_PAGE = ("Download is starting", "ERR_ABORTED", "ERR_HTTP_RESPONSE_CODE_FAILURE")  # a file, or a bare status
_PAGE_TYPES = {"text/html", "application/xhtml+xml", ""}


Use = Literal["never", "when_needed", "always"]


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """How Chromium runs; the limits of `FetchSettings` hold for each load as a whole. All values are ours."""

    use: Use = "never"
    """when_needed: pages that hold scripts and hardly a word without them are loaded once more, with Chromium; so are
    pages that a plain client does not get: 403, 406, 429, 503, redirects that do not end, replies that are no HTTP."""

    executable: str = ""
    """Path of Chromium; empty: the one on PATH, else Playwright's own."""

    sandbox: bool = True
    """Chromium's own sandbox around each page. It does not work for root."""

    settle_seconds: float = 3.0
    """How long scripts may go on asking for more, after the page itself has been read."""

    max_tabs: int = 4
    """Loads at once."""

    def __post_init__(self) -> None:
        if self.use not in get_args(Use):
            raise ValueError(f"browser.use: expected one of {', '.join(get_args(Use))}, got {self.use!r}")
        if self.settle_seconds < 0 or self.max_tabs < 1:
            raise ValueError("browser: expected settle_seconds from 0 and one tab or more")


class Browser:
    """One Chromium for all teams, started when first needed. It belongs to the event loop that asks."""

    def __init__(
        self, settings: BrowserSettings, fetch_settings: FetchSettings, *, resolve: Resolve | None = None
    ) -> None:
        """Nothing is started yet."""
        self.settings = settings
        self.limits = fetch_settings
        self.resolve = resolve
        self._playwright: Any = None
        self._chromium: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._places = asyncio.Semaphore(settings.max_tabs)

    def open_tab(self) -> "Tab":
        """The browser as one team sees it, with its own cookies."""
        return Tab(self)

    def place(self) -> asyncio.Semaphore:
        """To be held during a load."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a browser of another loop cannot be talked to from this one, and ends with it
            self._loop, self._playwright, self._chromium = loop, None, None
            self._starting, self._places = asyncio.Lock(), asyncio.Semaphore(self.settings.max_tabs)
        return self._places

    async def chromium(self) -> Any:
        """The running browser. Raises `Refused` with what is missing."""
        if find_spec("playwright") is None:
            raise Refused(
                "the browser cannot run: playwright is not installed; pip install 'lts-jax[browser]' brings it"
            )
        if self.settings.sandbox and hasattr(os, "geteuid") and os.geteuid() == 0:
            raise Refused("the browser's sandbox does not work for root: run as another user, or set sandbox to False")
        async with self._starting:
            if self._chromium is None or not self._chromium.is_connected():
                await self._start()
        return self._chromium

    async def aclose(self) -> None:
        """End the browser."""
        chromium, playwright, self._chromium, self._playwright = self._chromium, self._playwright, None, None
        for close in (chromium and chromium.close, playwright and playwright.stop):
            if close:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await close()

    async def _start(self) -> None:
        from playwright.async_api import async_playwright

        await self.aclose()
        self._playwright = await async_playwright().start()
        found = self.settings.executable or next(filter(None, map(shutil.which, _NAMES)), None)
        self._chromium = await self._playwright.chromium.launch(
            executable_path=found or None,
            headless=True,
            chromium_sandbox=self.settings.sandbox,
            args=list(_ARGUMENTS),
            proxy={"server": _NOWHERE, "bypass": "<-loopback>"},
            env={"PATH": os.defpath, "HOME": "/tmp", "LANG": "C.UTF-8"},
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )


class Tab:
    """One team's browser: its cookies, and nothing else, last from load to load."""

    def __init__(self, browser: Browser) -> None:
        """No cookies yet."""
        self._browser = browser
        self._cookies: Any = None

    async def load(self, url: str, form: Mapping[str, str] | None = None) -> Fetched | FetchFailure:
        """The page at `url` as HTML, after its scripts; or what `form` posted there gives. Never raises but to cancel.

        What is no page is fetched without the browser.
        """
        loading = _Loading(self._browser, url, time.monotonic())
        limits = self._browser.limits
        try:
            async with asyncio.timeout(limits.deadline_seconds):
                read_url(url, limits.ports)
                async with self._browser.place():
                    loaded = await loading.load(form, self._cookies)
            self._cookies = loading.cookies or self._cookies
        except TimeoutError:
            return loading.failure("timeout", f"the page was not ready within {limits.deadline_seconds:g} seconds")
        except Refused as refused:
            return loading.failure("refused", str(refused))
        except Exception as error:  # playwright's own, of many kinds
            return loading.problem(error)
        if loaded is not None:
            return loaded
        left = limits.deadline_seconds - (time.monotonic() - loading.started)
        return await fetch(
            url, replace(limits, deadline_seconds=max(left, 0.1)), form=form, resolve=self._browser.resolve
        )


class _Loading:
    """One load of one page."""

    def __init__(self, browser: Browser, url: str, started: float) -> None:
        self._browser = browser
        self._url = url
        self._hops: list[str] = []
        self._proxy = GuardProxy(browser.limits, browser.resolve)
        self.started = started
        self.cookies: Any = None

    def failure(
        self, kind: Literal["refused", "timeout", "connection", "reply", "status"], reason: str, status: int = 0
    ) -> FetchFailure:
        line = " ".join(reason.split())[:300]
        return FetchFailure(line, kind, self._url, time.monotonic() - self.started, status)

    def problem(self, error: Exception) -> FetchFailure:
        if self._proxy.is_over_limit:
            return self.failure("reply", f"the page needs more than {self._browser.limits.max_bytes} bytes")
        if self._proxy.refusals:
            return self.failure("refused", self._proxy.refusals[0])
        told = (str(error).splitlines() or [type(error).__name__])[0]
        return self.failure("connection", f"the browser could not open it: {told}")

    async def load(self, form: Mapping[str, str] | None, cookies: Any) -> Fetched | FetchFailure | None:
        """The page, or None for what is to be fetched without a browser."""
        chromium = await self._browser.chromium()
        async with self._proxy as proxy:
            context = await chromium.new_context(
                proxy={"server": proxy.url, "bypass": "<-loopback>"},
                storage_state=cookies,
                accept_downloads=False,
                service_workers="block",
                locale="en-US",
            )
            try:
                await context.add_init_script(_NO_WAY_AROUND)
                return await self._visit(context, form)
            finally:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await context.close()

    async def _visit(self, context: Any, form: Mapping[str, str] | None) -> Fetched | FetchFailure | None:
        from playwright.async_api import Error

        page = await context.new_page()
        context.on("page", lambda other: asyncio.ensure_future(_close(other)))
        posted = dict(form) if form is not None else None
        await page.route("**/*", lambda route: _let_pass(route, page, posted))
        try:
            response = await page.goto(self._url, wait_until="commit", timeout=0)
        except Error as error:
            if posted is None and any(each in str(error) for each in _NO_PAGE):
                return None
            raise
        if response is None:
            raise Refused("the address leads to no page")
        if self._proxy.refusals and response.status == 403 and response.request.is_navigation_request():
            return self.failure("refused", self._proxy.refusals[-1])
        self._url = response.url
        if not 200 <= response.status < 300:
            return self.failure("status", status_line(response.status), response.status)
        content_type = read_content_type(response.headers.get("content-type", ""))
        if content_type not in _PAGE_TYPES:
            return self._finish(await response.body(), content_type, response)
        await self._settle(page)
        return await self._read(context, page, response)

    async def _settle(self, page: Any) -> None:
        """Wait until the page asks for nothing more, or else until it is read to its end, but not for ever."""
        from playwright.async_api import Error

        with contextlib.suppress(Error):
            milliseconds = max(1.0, 1_000 * self._browser.settings.settle_seconds)
            await page.wait_for_load_state("networkidle", timeout=milliseconds)
            return
        with contextlib.suppress(Error):
            await page.wait_for_load_state("domcontentloaded", timeout=1_000 * _READY_SECONDS)

    async def _read(self, context: Any, page: Any, response: Any) -> Fetched | FetchFailure:
        body = (await page.content()).encode(errors="replace")
        self._url = page.url
        read_url(self._url, self._browser.limits.ports)
        self.cookies = {"cookies": (await context.cookies())[:_MAX_COOKIES], "origins": []}
        return self._finish(body, "text/html", response, charset="utf-8")

    def _finish(self, body: bytes, content_type: str, response: Any, charset: str = "") -> Fetched | FetchFailure:
        if self._proxy.is_over_limit or len(body) > self._browser.limits.max_bytes:
            return self.failure("reply", f"the page needs more than {self._browser.limits.max_bytes} bytes")
        hops, request = [response.url], response.request
        while request.redirected_from is not None:
            request = request.redirected_from
            hops.insert(0, request.url)
        seconds = time.monotonic() - self.started
        return Fetched(self._url, content_type, charset, body, sha256(body).hexdigest(), seconds, tuple(hops), "")


async def _let_pass(route: Any, page: Any, posted: dict[str, str] | None) -> None:
    """Let a request pass, to be judged by the proxy; the first one takes the form that is to be posted with it."""
    request = route.request
    with contextlib.suppress(Exception):
        is_main = request.is_navigation_request() and request.frame == page.main_frame
        if request.resource_type in _NOT_NEEDED or not request.url.startswith(("http://", "https://")):
            await route.abort()
        elif is_main and posted is not None and request.redirected_from is None and page.url == "about:blank":
            headers = {**request.headers, "content-type": "application/x-www-form-urlencoded"}
            await route.continue_(method="POST", post_data=urlencode(posted), headers=headers)
        else:
            await route.continue_()


async def _close(page: Any) -> None:
    with contextlib.suppress(Exception):
        await page.close()
