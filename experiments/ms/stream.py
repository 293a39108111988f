"""Does a memory that outlives its task help teams? Test tasks as one stream, whose pool starts empty.

Everything is admitted within a task, so that only what earlier tasks left differs: nothing; their questions with the
aggregated answers, the nearest to the new question; the entries that their teams stored, the nearest by key; as many of
these at random; all of these, of which a listing shows the 60 nearest to the instruction in hand; and, known from the
world, those that state a value which the task needs: rightly, a ceiling, or wrongly, what a false memory costs. Each
seed is a stream of its own: a task sees what the tasks before it left in this very stream. Agents are simulated.

python experiments/ms/stream.py
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tyro

from lts_jax.admission.offline_truth import truth_of
from lts_jax.admission.rules import admit_all
from lts_jax.evaluation.statistics import (
    Cell,
    Interval,
    difference_interval,
    mean_interval,
    minimum_detectable_effect,
    pair_cells,
    reduction_interval,
    reduction_resolution,
)
from lts_jax.llm.simulated.findings import Finding, scan
from lts_jax.llm.simulated.understanding import Need
from lts_jax.memory.earlier import EarlierEntry, left_by
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.records import EARLIER, Coordinates, Origin, Rollout, Task, Trust
from lts_jax.reports.tables_page import one_table, tables_text
from lts_jax.rollouts.garbage import rare_garbage_collection
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import write_json, write_text
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model
from lts_jax.tasks.almanac import build_almanac

NONE, PAIRS, NEAREST, RANDOM, ALL = "nothing", "pairs", "nearest", "random", "whole pool"
TRUE, FALSE = "oracle, right", "oracle, wrong"
ARMS = (NONE, PAIRS, NEAREST, RANDOM, ALL, TRUE, FALSE)
LONG_ARMS = (NONE, NEAREST, TRUE, FALSE)
SHARES, ALONE = "page shared", "no page shared"


@dataclass(frozen=True, slots=True)
class Config:
    """What is run, and where its tables go."""

    num_tasks: int = 60
    """Of the test split, in its fixed order."""
    seeds: int = 3
    long_tasks: int = 378
    """Of a longer stream, with one seed and fewer arms; 0: none."""
    worlds: tuple[str, ...] = ("omission", "commission")
    """Weaknesses of the simulated model."""
    num_entries: int = 10
    """Entries of earlier tasks that a bank begins with, at most."""
    encoder: str = "hashing"
    results: Path = Path(__file__).parent / "results"


@lru_cache(maxsize=65_536)
def findings_of(value: str) -> tuple[Finding, ...]:
    """The values that an entry states, as the simulated model reads them."""
    return scan(value).findings


@dataclass(slots=True)
class Pool:
    """What earlier tasks of one stream left, with vectors of the keys; of equal keys and values the first is kept."""

    encoder: Any
    entries: list[EarlierEntry] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    _held: set[tuple[str, str]] = field(default_factory=set)
    _stated: dict[Need, list[tuple[Finding, int]]] = field(default_factory=dict)  # with the entry's place

    def add(self, entries: Sequence[EarlierEntry]) -> None:
        """Take in what a task left."""
        new = {(one.key, one.value): one for one in reversed(entries) if (one.key, one.value) not in self._held}
        if new:
            self._held |= set(new)
            for place, one in enumerate(reversed(new.values()), start=len(self.entries)):
                for finding in findings_of(one.value):
                    self._stated.setdefault(finding.need, []).append((finding, place))
            self.entries += reversed(new.values())
            self.vectors.append(self.encoder.encode([one.key for one in reversed(new.values())]))

    def nearest(self, text: str, count: int) -> list[EarlierEntry]:
        """Those with the largest cosine of their key to a text, the nearest last, where a listing ends."""
        return [self.entries[place] for place in self._order(text)[:count][::-1]]

    def _order(self, text: str) -> list[int]:
        """Places of all entries, that of the nearest key first."""
        if not self.entries:
            return []
        cosine_n = np.concatenate(self.vectors) @ self.encoder.encode([text])[0]
        return np.argsort(-cosine_n, kind="stable").tolist()

    def first_right(self, question: str) -> int:
        """The rank by `nearest`, from 1, of the best entry that states a needed value rightly; 0 if there is none."""
        right = {place for _, place in self._about(question, rightly=True)}
        return next((rank for rank, place in enumerate(self._order(question), start=1) if place in right), 0)

    def _about(self, question: str, *, rightly: bool) -> list[tuple[Finding, int]]:
        truth = truth_of(question)
        stated = [told for need in truth.values for told in self._stated.get(need, ())]
        return [told for told in stated if truth.is_right(told[0]) == rightly]

    def random(self, count: int, *labels: object) -> list[EarlierEntry]:
        """As many drawn without return."""
        rng = Random("/".join(map(str, labels)))
        return rng.sample(self.entries, min(count, len(self.entries)))

    def stating(self, question: str, count: int, *, rightly: bool) -> list[EarlierEntry]:
        """Those that state a value which a question needs, rightly or wrongly; of one value the first."""
        found: dict[tuple[Need, int], int] = {}
        for finding, place in self._about(question, rightly=rightly):
            found.setdefault((finding.need, finding.part), place)
        return [self.entries[place] for place in dict.fromkeys(found.values())][:count]


def pair_of(rollout: Rollout) -> tuple[EarlierEntry, ...]:
    """The question, bare, with the aggregated answer; nothing where that is empty.

    The answer was made after reading what the teams had read, so it is trusted no more than that.
    """
    question, answer = rollout.task.question, rollout.final.text.strip()
    if not answer:
        return ()
    seen = tuple(dict.fromkeys(label for one in left_by(rollout) for label in one.seen))
    value = f"Question: {question}\nAnswer: {answer}"
    return (EarlierEntry(question, value, Origin.MODEL, "aggregator", Trust.UNTRUSTED, seen),)


def one_stream(parts: RolloutParts, arm: str, seed: int, shared: Mapping[str, bool], most: int) -> list[Any]:
    """Every task of the stream, in order, each beginning with what the arm takes of the pool, `most` entries."""
    pool = Pool(parts.encoder)
    rows = []
    for task in almanac_tasks(0, "test", len(shared)):
        earlier: list[EarlierEntry] = []
        if arm in (PAIRS, NEAREST):
            earlier = pool.nearest(task.question, most)
        elif arm == RANDOM:
            earlier = pool.random(most, "stream", seed, task.task_id)
        elif arm == ALL:
            earlier = list(pool.entries)
        elif arm in (TRUE, FALSE):
            earlier = pool.stating(task.question, most, rightly=arm == TRUE)
        begun = replace(parts, earlier=(lambda _, entries=tuple(earlier): entries) if earlier else None)
        rollout = asyncio.run(run_rollout(task, Coordinates(seed, 0, task.task_id, 0), begun, RolloutSettings()))
        rank = pool.first_right(task.question) if arm == NEAREST else 0
        rows.append(measured(rollout, seed, shared[task.task_id]) | {"first_right": rank})
        if arm != NONE:
            pool.add(pair_of(rollout) if arm == PAIRS else left_by(rollout))
    return rows


def measured(rollout: Rollout, seed: int, shares: bool) -> dict[str, Any]:
    """One rollout as JSON values."""
    truth = truth_of(rollout.task.question)
    values = {one.entry: one.value for one in rollout.entries if one.team == EARLIER}
    needed = {entry: [one for one in findings_of(value) if truth.is_needed(one)] for entry, value in values.items()}
    right = {entry for entry, stated in needed.items() if any(map(truth.is_right, stated))}
    wrong = {entry for entry, stated in needed.items() if not all(map(truth.is_right, stated))}
    pulled = [pull.entry for pull in rollout.pulls if pull.writer == EARLIER]
    return {
        "task": rollout.task.task_id,
        "seed": seed,
        "shares": shares,
        "score": rollout.reward_agg,
        "seconds": rollout.seconds,
        "tokens": rollout.tokens,
        "listed": len(values),
        "pulls": len(pulled),
        "pulls_right": sum(entry in right for entry in pulled),
        "pulls_wrong": sum(entry in wrong for entry in pulled),
    }


def shared_pages(tasks: Sequence[Task]) -> dict[str, bool]:
    """Of each task, whether one before it needs a page that it needs, too."""
    needs = build_almanac(0).needs
    found, before = {}, set[str]()
    for task in tasks:
        own = {need.url for need in needs[task.task_id]}
        found[task.task_id] = bool(own & before)
        before |= own
    return found


def cells(rows: Sequence[Mapping[str, Any]], name: str) -> dict[Cell, float]:
    """A figure by task and seed."""
    return {(one["task"], one["seed"], 0): float(one[name]) for one in rows}


def compared(none: Sequence[Any], arm: Sequence[Any]) -> list[str]:
    """Score and seconds of an arm against nothing, on the cells of the arm: differences and what could be resolved."""
    gain = pair_cells(cells(none, "score"), cells(arm, "score"))
    time = pair_cells(cells(none, "seconds"), cells(arm, "seconds"))
    return [
        _signed(difference_interval(gain), 3),
        f"{minimum_detectable_effect(gain.policy - gain.reference, gain.tasks):.3f}",
        _signed(reduction_interval(time), 1),
        f"{reduction_resolution(time):.1f}",
    ]


def main_table(world: str, found: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Every arm, over all tasks of the stream."""
    rows = []
    num_tasks, num_seeds = (len({one[name] for one in found[NONE]}) for name in ("task", "seed"))
    for arm, own in found.items():
        pulls = sum(one["pulls"] for one in own)
        rightly = sum(one["pulls_right"] for one in own)
        rows.append(
            [
                arm,
                f"{_mean(own, 'score'):.3f}",
                *(["reference", "", "reference", ""] if arm == NONE else compared(found[NONE], own)),
                f"{_mean(own, 'tokens') / 1000:.0f}",
                f"{pulls / len(own):.1f}",
                f"{rightly / pulls:.3f}" if pulls else "",
            ]
        )
    heads = ["", "score", "over nothing", "least", "saved %", "least", "k tok", "pulls", "right"]
    return one_table(
        f"Entries of earlier tasks, {world}",
        heads,
        rows,
        f"{num_tasks} test tasks in a row, {num_seeds} seeds. Over nothing and saved (of the runtime): "
        "paired over tasks and seeds; least: the smallest that could be resolved. k tok: thousands of tokens a "
        "rollout. Pulls: of entries of earlier tasks, a rollout; right: the part of them that states a value rightly "
        "that the task needs.",
    )


def split_table(world: str, found: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The same where an earlier task needed a page in common, and where none did."""
    rows = []
    ranks = [one["first_right"] for one in found[NEAREST] if one["shares"]]
    held = [rank for rank in ranks if rank]
    median = float(np.median(held)) if held else 0.0
    for arm, own in found.items():
        for name, shares in ((SHARES, True), (ALONE, False)):
            part = [one for one in own if one["shares"] == shares]
            if arm != NONE and part:
                tasks = len({one["task"] for one in part})
                rows.append([f"{arm}, {name}", str(tasks), *compared(found[NONE], part)])
    return one_table(
        f"Where an earlier task needed a page in common, {world}",
        ["", "tasks", "score over nothing", "least", "saved %", "least"],
        rows,
        f"Of {len(ranks)} rollouts of the nearest whose task shares a page, {len(held)} have a pool that states "
        f"a needed value rightly. By the cosine of key and question the best such entry has rank {median:.0f} "
        f"in the median; it is among the ten nearest in {sum(rank <= 10 for rank in held)}.",
    )


def harm_table(world: str, found: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Rollouts by what they pulled of earlier tasks: a value that the task needs, right or wrong, or neither."""
    rows = []
    for arm, own in found.items():
        kinds = {
            "a wrong value": [one for one in own if one["pulls_wrong"]],
            "right values alone": [one for one in own if one["pulls_right"] and not one["pulls_wrong"]],
            "nothing needed": [
                one for one in own if one["pulls"] and not one["pulls_right"] and not one["pulls_wrong"]
            ],
        }
        for kind, part in kinds.items() if arm != NONE else ():
            told = compared(found[NONE], part) if part else ["", "", "", ""]
            rows.append([f"{arm}: {kind}", str(len(part)), *told])
    return one_table(
        f"By what was pulled of earlier tasks, {world}",
        ["", "rollouts", "score over nothing", "least", "saved %", "least"],
        rows,
        "What a rollout pulls is an outcome, too: these differences say where help and harm are, not what causes them.",
    )


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return mean_interval([one[name] for one in rows], [one["task"] for one in rows]).estimate


def _signed(interval: Interval, digits: int) -> str:
    return f"{interval.estimate:+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"


def stream_tables(config: Config, world: str, num_tasks: int, seeds: int, arms: Sequence[str]) -> list[dict[str, Any]]:
    """The tables of a stream with one model."""
    parts = RolloutParts(
        model=make_model(ModelSettings(weaknesses=world)),
        use_tool=almanac_tools(0),
        policy=admit_all(),
        encoder=make_encoder(config.encoder),
        is_offline=True,
    )
    shared = shared_pages(almanac_tasks(0, "test", num_tasks))
    found = {
        arm: [row for seed in range(seeds) for row in one_stream(parts, arm, seed, shared, config.num_entries)]
        for arm in arms
    }
    name = f"{world}, {num_tasks} tasks"
    return [main_table(name, found), split_table(name, found), harm_table(name, found)]


def main(config: Config) -> None:
    """Run, print and store."""
    sizes = [(config.num_tasks, config.seeds, ARMS)] + [(config.long_tasks, 1, LONG_ARMS)] * (config.long_tasks > 0)
    told = []
    for num_tasks, _, _ in sizes:
        shared = sum(shared_pages(almanac_tasks(0, "test", num_tasks)).values())
        told.append(f"{shared} of {num_tasks} tasks need a page that a task before them needed.")
    with rare_garbage_collection():
        tables = [
            table
            for num_tasks, seeds, arms in sizes
            for world in config.worlds
            for table in stream_tables(config, world, num_tasks, seeds, arms)
        ]
    document = {
        "name": "stream",
        "title": "A memory that outlives its task",
        "headline": " ".join(told),
        "tables": tables,
        "foot": "Agents are simulated. Brackets: 95 % over tasks.",
    }
    write_json(config.results / "stream.json", document)
    write_text(config.results / "stream.txt", tables_text(document) + "\n")
    print(tables_text(document))


if __name__ == "__main__":
    main(tyro.cli(Config))
