"""A run folder as flat tables, one row for each thing. This file is their page: what every column means, in which unit.

Seconds are on the rollout's own clock, zero at the start of its task; "virtual" clocks come from a latency model. Every
table begins with the four columns that say which rollout a row belongs to, so that tables join on them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import arm_name
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.store import read_folder

if TYPE_CHECKING:
    import pandas

TRAINING = "training"  # the line of rollouts that were trained on

KEYS = {
    "line": "training, or the line of the comparison: lts, all, similarity(threshold=0.6), ...",
    "iteration": "number of the update that a training rollout belongs to; 0 in an evaluation",
    "task": "id of the task",
    "rollout": "number of the rollout of this task and iteration",
}
"""The first columns of every table."""

COLUMNS: dict[str, dict[str, str]] = {
    "rollouts": {
        "question": "of the task",
        "answer": "the aggregated answer",
        "reference": "reference answer; none where it is withheld",
        "family": "question family of the offline world, or the source of the task",
        "difficulty": "easy, medium or hard; empty where the source has none",
        "split": "train, validation or test",
        "policy": "canonical text of the policy that decided",
        "listing_window": "newest keys that were listed to a team; none: all",
        "num_teams": "K",
        "num_steps": "steps of all teams",
        "reward": "score of the aggregated answer, 0 to 1; NaN where there is none",
        "first_reward": "score of the answer of the team that finished first, 0 to 1",
        "seconds": "from the start of the task to the aggregated answer",
        "clock": "virtual or real",
        "tokens": "prompt and completion tokens of all calls",
        "usd": "US dollars of all calls",
        "stop_reason": "why the rollout ended",
    },
    "steps": {
        "team": "0 .. K - 1",
        "step": "0, 1, 2, ... within the team",
        "agent": "who acted",
        "instruction": "what the agent was asked",
        "action": "the tool call or program, as text",
        "output": "what came back",
        "summary": "15 to 20 words, the key of an entry; empty without a bank",
        "started_seconds": "begin of the step",
        "finished_seconds": "end of the step",
        "failed": "whether the tool failed",
    },
    "decisions": {
        "team": "who took the step",
        "step": "of the team",
        "action": "0 rejects, 1 admits, 2 replaces an entry, 3 ends one",
        "admit_probability": "of the sampling policy",
        "log_prob": "natural logarithm of the probability of the action",
        "num_keys": "entries in the bank before the decision",
        "seconds": "when it was taken",
        "entry": "id of the admitted entry; -1 where rejected",
        "target": "id of the entry that it replaces or ends; -1 where it does neither",
        "used": "whether another team pulled the entry",
        "credit": "what the credit scheme gave this decision in training; NaN in an evaluation",
    },
    "entries": {
        "entry": "0, 1, 2, ... in order of admission",
        "team": "who wrote it; -1: an earlier task",
        "step": "of the writing team; -1: of an earlier task",
        "key": "summary that teams are listed",
        "value": "what a pull gives",
        "seconds": "when it was admitted",
        "origin": "where the content came from: user, model, tool, file, web",
        "source": "URL, file or tool",
        "trust": "untrusted, own or trusted",
        "num_readers": "other teams that pulled it",
    },
    "pulls": {
        "entry": "which",
        "reader": "team that pulled",
        "writer": "team that wrote it; -1: an earlier task",
        "step": "the reader's next step",
        "seconds": "when",
    },
    "edits": {
        "drawer": "the team whose own memory it is; -1: the shared one",
        "kind": "update or delete",
        "entry": "which ended",
        "successor": "id of the entry in its place; none of a deletion",
        "team": "who did it",
        "step": "of the team",
        "seconds": "when",
        "sequence": "of the decision that did it; of a drawer: its place among the drawer's edits",
    },
    "calls": {
        "team": "who asked; -1: the aggregator",
        "step": "of the team; -1: none",
        "purpose": "facts, plan, ledger, act, summarize, select, answer, aggregate, judge, ...",
        "model": "its name",
        "prompt_tokens": "sent",
        "completion_tokens": "received",
        "started_seconds": "begin of the call",
        "seconds": "how long it took",
        "usd": "US dollars",
        "attempts": "requests, retries counted",
        "error": "empty on success",
    },
    "answers": {
        "team": "who answered",
        "text": "the answer",
        "seconds": "when",
        "stop_reason": "why the team ended",
        "num_steps": "of the team",
        "num_replans": "new plans after stalls",
        "num_stalls": "rounds that its ledger called stalled",
    },
}
"""Tables, and their columns after `KEYS`."""


def tables(run: Path | str) -> "dict[str, pandas.DataFrame]":
    """Everything that lies in a run folder, training and evaluation, as one data frame for each table of `COLUMNS`.

    Raises:
        UserError: no run folder, or one without rollouts.
    """
    return rollout_tables(stored_lines(run), credit=read_credit(Path(run) / "credit"))


def stored_lines(run: Path | str) -> list[tuple[str, RolloutGroup]]:
    """Every group of a run folder with the name of its line, of training and evaluation.

    Raises:
        UserError: no run folder, or one without rollouts.
    """
    folder = Path(run)
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: no run folder (it has no config.json)")
    lines = [(TRAINING, folder / "rollouts")]
    lines += [(arm_name(path), path) for path in sorted((folder / "evaluation").glob("*")) if path.is_dir()]
    found = [(line, group) for line, path in lines for group in read_folder(path)]
    if not found:
        raise UserError(f"{folder}: holds no rollouts yet")
    return found


def rollout_tables(
    groups: Iterable[tuple[str, RolloutGroup]], *, credit: Mapping[tuple[Any, ...], float] | None = None
) -> "dict[str, pandas.DataFrame]":
    """Groups of rollouts, each with the name of its line, as the tables of `COLUMNS`.

    `credit` gives numbers by (iteration, task, rollout, team, step) of training decisions.
    """
    import pandas

    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in COLUMNS}
    for line, group in groups:
        for rollout in group.rollouts:
            place = rollout.coordinates
            keys = {"line": line, "iteration": place.iteration, "task": place.task, "rollout": place.rollout}
            for name, make in _ROWS.items():
                rows[name] += [keys | row for row in make(rollout)]
            own = credit if credit is not None and line == TRAINING else {}
            for row in rows["decisions"][len(rows["decisions"]) - len(rollout.decisions) :]:
                row["credit"] = own.get((*list(keys.values())[1:], row["team"], row["step"]), float("nan"))
    return {name: pandas.DataFrame(rows[name], columns=[*KEYS, *COLUMNS[name]]) for name in COLUMNS}


def _rollouts(one: Rollout) -> Iterator[dict[str, Any]]:
    yield (
        {
            "question": one.task.question,
            "answer": one.final.text,
            "reference": one.task.answer,
            "num_steps": len(one.steps),
            "reward": one.reward_agg,
            "first_reward": one.reward_first,
            "tokens": one.tokens,
            "usd": sum(call.usd for call in one.calls),
            "stop_reason": str(one.stop_reason),
        }
        | {name: getattr(one.task, name) for name in ("family", "difficulty", "split")}
        | {name: getattr(one, name) for name in ("policy", "listing_window", "num_teams", "seconds", "clock")}
    )


def _decisions(one: Rollout) -> Iterator[dict[str, Any]]:
    pulled = {pull.entry for pull in one.pulls if pull.reader != pull.writer}
    for decision in one.decisions:
        yield _fields("decisions", decision) | {"used": decision.entry in pulled}


def _entries(one: Rollout) -> Iterator[dict[str, Any]]:
    for entry in one.entries:
        readers = {pull.reader for pull in one.pulls if pull.entry == entry.entry and pull.reader != pull.writer}
        yield _fields("entries", entry) | {"num_readers": len(readers)}


def _edits(one: Rollout) -> Iterator[dict[str, Any]]:
    """Of the shared memory, then of each team's own."""
    for team, edits in ((-1, one.edits), *((drawer.team, drawer.edits) for drawer in one.drawers)):
        for edit in edits:
            yield {"drawer": team} | _fields("edits", edit)


def _fields(table: str, record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in COLUMNS[table] if hasattr(record, name)}


_ROWS: dict[str, Callable[[Rollout], Iterable[dict[str, Any]]]] = {
    "rollouts": _rollouts,
    "steps": lambda one: [_fields("steps", step) for step in one.steps],
    "decisions": _decisions,
    "entries": _entries,
    "pulls": lambda one: [_fields("pulls", pull) for pull in one.pulls],
    "edits": _edits,
    "calls": lambda one: [_fields("calls", call) for call in one.calls],
    "answers": lambda one: [_fields("answers", answer) for answer in one.answers],
}


def read_credit(folder: Path) -> dict[tuple[Any, ...], float]:
    """Credit of training decisions by (iteration, task, rollout, team, step), as a run folder keeps it."""
    import pyarrow.parquet

    found = {}
    for path in sorted(folder.glob("*.parquet")):
        for row in pyarrow.parquet.read_table(path, partitioning=None).to_pylist():
            *place, credit = row.values()
            found[tuple(place)] = credit
    return found
