"""Where the content of an entry came from, how far it is trusted, and what falls with a revoked origin.

A text is as trustworthy as the least of what its writer had read: a language model copies from its whole context, so a
team that has read a hostile page may pass it on in every later step, whatever that step was about. Labels therefore
stay with a team for the rest of the task, also over a re-plan, which rewrites facts and plan from the old thread.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from lts_jax.memory.guards import TRUST_ORDER
from lts_jax.records import MemoryEntry, Origin, Rollout, Step, Trust
from lts_jax.storage import parse_json

TRUST_OF_ORIGIN: Mapping[Origin, Trust] = {
    Origin.USER: Trust.TRUSTED,
    Origin.MODEL: Trust.OWN,
    Origin.TOOL: Trust.OWN,
    Origin.FILE: Trust.UNTRUSTED,
    Origin.WEB: Trust.UNTRUSTED,
    Origin.MCP: Trust.UNTRUSTED,
    Origin.UNKNOWN: Trust.UNTRUSTED,
}
"""The label of content that comes straight from an origin. Files are untrusted too: a download is a page on disk."""

_LISTED_ADDRESS = re.compile(r"<([^<>\s]{4,500})>|(https?://[^\s<>\"')\]]{3,500})")
_MAX_LISTED = 50  # addresses of one search result
_WEB_TOOLS = frozenset({"web_search", "visit_url", "find_on_page", "submit_form"})
_FILE_TOOLS = frozenset({"list_files", "open_file", "find_in_file"})
MCP_PREFIX = "mcp__"
"""How the names of tools of MCP servers begin: mcp__SERVER__TOOL. No other tool's name does."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where one step's content came from, and what else its team had read itself until then, as labels."""

    origin: Origin = Origin.UNKNOWN
    source: str = ""
    seen: tuple[str, ...] = ()


UNKNOWN = Provenance()


def label(origin: Origin, source: str) -> str:
    """An origin as one text, "web:https://example.org/page"; what `revoke` is asked with."""
    return f"{origin.value}:{source}"


def labels_of_call(tool: str, arguments: Mapping[str, Any], text: str = "", source: str = "") -> tuple[str, ...]:
    """The origins of a tool call's result; the first is its main one. `source`: where a redirect has led, if anywhere.

    A search result holds words of every page that it lists, so each of these is an origin too.
    """
    if tool in _FILE_TOOLS:
        return (label(Origin.FILE, source or str(arguments.get("name") or tool)),)
    if tool.startswith(MCP_PREFIX):
        return (label(Origin.MCP, tool.removeprefix(MCP_PREFIX).partition("__")[0]),)
    if tool not in _WEB_TOOLS:
        return (label(Origin.TOOL, source or tool),)
    asked = str(arguments.get("url") or tool)
    found = [asked] if source in ("", asked) else [source, asked]
    if tool == "web_search":
        found += _listed_addresses(text)
    return tuple(dict.fromkeys(label(Origin.WEB, address) for address in found))


@lru_cache(maxsize=1024)  # teams and rollouts search for the same
def _listed_addresses(text: str) -> tuple[str, ...]:
    return tuple(angled or bare for angled, bare in _LISTED_ADDRESS.findall(text)[:_MAX_LISTED])


def labels_of_step(step: Step) -> tuple[str, ...]:
    """The origins of a step as its record tells them; the first is its main one. Never raises."""
    if step.agent == "ComputerTerminal":
        return labels_of_call("run_python", {})
    tool, _, rest = step.action.partition(" ")
    if not tool:
        return (label(Origin.MODEL, step.agent),)
    try:
        arguments = parse_json(rest, "", any_text=True)
    except ValueError:
        arguments = {}
    return labels_of_call(tool, arguments if isinstance(arguments, dict) else {}, step.output)


def provenance(labels: Sequence[str], seen: Sequence[str] = ()) -> Provenance:
    """The provenance of a step with these origins, whose team has `seen` others before."""
    kind, _, source = labels[0].partition(":")
    return Provenance(Origin(kind), source, tuple(dict.fromkeys([*seen, *labels])))


def trust_of(origin: Origin, seen: Iterable[str] = (), parents: Iterable[Trust] = ()) -> Trust:
    """The lowest label over the own origin, the origins that the team had read, and the parents' labels."""
    origins = {origin, *map(_origin_of, seen)}
    return min([*(TRUST_OF_ORIGIN[each] for each in origins), *parents], key=TRUST_ORDER.index)


@lru_cache(maxsize=8192)
def _origin_of(label: str) -> Origin:
    return Origin(label.partition(":")[0])


def is_named(origin: str, name: str) -> bool:
    """Whether a label (`origin`) is meant by `name`.

    A name is a whole label, a kind ("web"), a source (URL, file, tool), a host with all below it ("example.org" means
    "www.example.org" too), or an address that ends in "/" with all that starts with it. Fragments and a last slash do
    not count, nor does the case of a host.
    """
    kind, _, source = origin.partition(":")
    if name in (origin, kind, source) or not source:
        return name in (origin, kind, source)
    wanted, found = _address(name.removeprefix(f"{kind}:")), _address(source)
    host = _host(source)
    below = name.endswith("/") and (found + "/").startswith(wanted + "/")
    return wanted == found or below or (bool(host) and f".{host}".endswith(f".{name.strip().lower().rstrip('.')}"))


def revoked_entries(entries: Sequence[MemoryEntry], name: str | int) -> frozenset[int]:
    """Ids of the entries that fall with an origin, or with one entry (a number), and of all derived from them.

    Entries come in order of admission, and parents are older, so one pass closes the set.
    """
    fallen: set[int] = set()
    for entry in entries:
        if falls(entry, (name,), fallen):
            fallen.add(entry.entry)
    return frozenset(fallen)


def falls(entry: MemoryEntry, names: Sequence[str | int], fallen: Set[int]) -> bool:
    """Whether an entry falls with one of these origins or entries, or was derived from one that has fallen."""
    if not fallen.isdisjoint(entry.parents):
        return True
    return any(entry.entry == name if isinstance(name, int) else _comes_from(entry, name) for name in names)


def is_affected(rollout: Rollout, name: str | int) -> bool:
    """Whether a revoked origin or entry reached a team: read by itself, or pulled in an entry that falls with it."""
    fallen = revoked_entries(rollout.entries, name)
    if any(pull.entry in fallen for pull in rollout.pulls):
        return True
    if isinstance(name, int):
        return name in fallen
    return bool(fallen) or any(is_named(each, name) for step in rollout.steps for each in labels_of_step(step))


def mark_revoked(rollout: Rollout, names: Iterable[str | int]) -> Rollout:
    """The rollout with the revoked origins that reached one of its teams in `revoked`; itself if none did."""
    reached = [str(name) for name in names if str(name) not in rollout.revoked and is_affected(rollout, name)]
    return replace(rollout, revoked=(*rollout.revoked, *reached)) if reached else rollout


def _comes_from(entry: MemoryEntry, name: str) -> bool:
    return is_named(label(entry.origin, entry.source), name) or any(is_named(each, name) for each in entry.seen)


def _address(source: str) -> str:
    """A URL without fragment and last slash, its scheme and host in lower case; another text as it is."""
    if "://" not in source:
        return source.rstrip("/")
    try:
        parts = urlsplit(source)
    except ValueError:
        return source
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}{query}"


def _host(source: str) -> str:
    try:
        return (urlsplit(source).hostname or "") if "://" in source else ""
    except ValueError:
        return ""
