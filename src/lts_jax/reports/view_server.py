"""A page of rollouts behind a server of this machine: each rollout is sent when it is opened."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lts_jax.errors import UserError
from lts_jax.records import Rollout
from lts_jax.reports.page import opening, page, policy
from lts_jax.reports.style import SCRIPT
from lts_jax.reports.viewer import Credits, no_credit, opened, typical, viewer_section
from lts_jax.reports.viewer_script import VIEWER_SCRIPT, VIEWER_STYLE

HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names by which a browser of this machine asks; others are refused: a page elsewhere could send them here."""


def view_page(name: str, rollouts: Mapping[str, Sequence[Rollout]], first: Rollout) -> str:
    """The page, which asks `rollout/N` for what it opens."""
    count = sum(map(len, rollouts.values()))
    facts = [f"{count} rollouts", f"{len(rollouts)} lines"]
    sections = [
        opening(name, "What every team did, admitted and pulled.", facts),
        viewer_section(rollouts, first, served=True),
    ]
    return page(name, sections, scripts=[VIEWER_SCRIPT], style=VIEWER_STYLE, asks_server=True)


def view_server(
    name: str, rollouts: Mapping[str, Sequence[Rollout]], *, port: int = 0, credits: Credits = no_credit
) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 that is listening, and answers once its `serve_forever` runs.

    Args:
        name: of the run.
        rollouts: by line.
        port: to listen on; 0 takes a free one.
        credits: of decisions in training.

    Raises:
        UserError: no rollouts, or the port is taken.
    """
    everything = [(line, one) for line, some in rollouts.items() for one in some]
    first = typical([one for _, one in everything])
    if first is None:
        raise UserError(f"{name}: holds no rollouts yet")
    content = view_page(name, rollouts, first)
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, content, everything, credits))
    except OSError as error:
        raise UserError(f"port {port}: {error.strerror or error}") from None


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page, or with one rollout."""

    def __init__(
        self, content: str, everything: Sequence[tuple[str, Rollout]], credits: Credits, *request: Any
    ) -> None:
        self._content, self._everything, self._credits = content, everything, credits
        super().__init__(*request)

    def do_GET(self) -> None:
        """The page under /, a rollout under /rollout/N; nothing else."""
        if (self.headers.get("Host") or "").rpartition(":")[0] not in HOSTS:
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path == "/":
            self._send(self._content, "text/html")
            return
        number = self.path.removeprefix("/rollout/")
        if not number.isascii() or not number.isdigit() or int(number) >= len(self._everything):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        line, rollout = self._everything[int(number)]
        self._send(json.dumps(opened(rollout, self._credits(line, rollout))), "application/json")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing for each request."""

    def _send(self, content: str, kind: str) -> None:
        body = content.encode(errors="replace")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", policy((SCRIPT, VIEWER_SCRIPT), asks_server=True))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
