"""A tracker that is opened and never answers again, as one whose server has gone."""

import threading
from typing import Any


class Hanging:
    """Sleeps for ever at the first number."""

    name = "hanging"

    def open(self, run: Any, known: str) -> str:
        """Takes the run."""
        return known or run.key

    def log(self, step: int, values: Any) -> None:
        """Never comes back."""
        threading.Event().wait()

    def close(self) -> None:
        """Is never asked for."""


def hanging() -> Hanging:
    """As `--track hanging.py:hanging` names it."""
    return Hanging()
