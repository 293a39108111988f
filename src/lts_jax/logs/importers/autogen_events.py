"""The event log of AutoGen's runtime, one JSON object a line: which team said what, in order.

Every message of a team is published once to the team's output topic, whose name holds the team's identity; deliveries
of the same message to others repeat it and are passed over.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lts_jax.logs.importers.autogen_messages import TeamLog
from lts_jax.storage import parse_json

_OUTPUT = "output_topic_"


def teams_of_events(events: Sequence[Any]) -> list[TeamLog]:
    """The messages of each team in a log, teams in order of their first message; empty if there is no such event."""
    said: dict[str, list[dict[str, Any]]] = {}
    ended: set[str] = set()
    failed: dict[str, str] = {}
    tokens: dict[str, list[int]] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        team = _team(event)
        kind = event.get("type")
        if kind == "LLMCall":
            _count(tokens.setdefault(_identity(event.get("agent_id")), [0, 0, 0]), event)
        elif kind == "MessageHandlerException":
            failed.setdefault(_identity(event.get("handling_agent")), f"exception: {event.get('exception')}")
        elif kind == "Message" and team and str(event.get("delivery_stage")).endswith("SEND"):
            found = list(_messages(event.get("payload")))
            said.setdefault(team, []).extend(found)
            if not found:  # the only thing sent there that AutoGen cannot write down is the end of the run
                ended.add(team)
    return [
        TeamLog(said[team], failed.get(team), notes=_notes(tokens.get(team)), has_ended=team in ended)
        for team in said
        if said[team]
    ]


def _team(event: dict[str, Any]) -> str:
    receiver = str(event.get("receiver") or "")
    return receiver.removeprefix(_OUTPUT).partition("/")[0] if receiver.startswith(_OUTPUT) else ""


def _identity(agent_id: Any) -> str:
    """The team in an agent's id, "Name_TEAM/TEAM"."""
    return str(agent_id or "").rpartition("/")[2]


def _messages(payload: Any) -> Iterator[dict[str, Any]]:
    try:
        value = parse_json(payload, "") if isinstance(payload, str) else payload
    except ValueError:
        return
    if not isinstance(value, dict):
        return
    for message in [value.get("message"), *(value.get("messages") or ())]:
        if isinstance(message, dict) and isinstance(message.get("source"), str):
            yield message


def _count(counts: list[int], event: dict[str, Any]) -> None:
    counts[0] += 1
    for place, name in enumerate(("prompt_tokens", "completion_tokens"), start=1):
        value = event.get(name)
        counts[place] += value if isinstance(value, int) else 0


def _notes(counts: list[int] | None) -> tuple[str, ...]:
    if counts is None:
        return ()
    return (f"{counts[0]} model calls, {counts[1]} prompt tokens, {counts[2]} completion tokens",)
