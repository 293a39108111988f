"""Pages that need scripts: Chromium through Playwright, if both are installed and the setting asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from lts_jax.teams.tools.fetch import Fetched, FetchFailure, FetchSettings


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """How Chromium runs. All values are ours."""

    use: bool = False


class Browser:
    def __init__(self, settings: BrowserSettings, fetch: FetchSettings) -> None:
        pass

    def open_tab(self) -> "Tab":
        return Tab()

    async def aclose(self) -> None:
        pass


class Tab:
    async def load(self, url: str, form: Mapping[str, str] | None) -> Fetched | FetchFailure:
        raise NotImplementedError
