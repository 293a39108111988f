"""SimpleMem (arXiv 2601.02553) as a system: compress what was read to facts, merge, retrieve by need.

Memories live through streams of tasks of the offline world (`fact_streams`). Each is asked every question of its
stream, with raw values and with facts, the same reader for both; ablations run the code that they name. Then teams
work on tasks with a bank of raw values and with a bank of facts (`fact_teams`). Everything is simulated.

A stream under one seed of the extractor is a block with a file of its own, so the same command goes on after a kill.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError
from lts_jax.memory.consolidate import NO_MERGING
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.fact_memory import FactMemory, FactSettings, count_tokens, raw_entry, readable
from lts_jax.memory.hybrid import HybridReader, HybridSettings
from lts_jax.memory.text import cut
from lts_jax.records import Task
from lts_jax.reports.svg import Figure
from lts_jax.systems.fact_streams import (
    Asked,
    Shown,
    digest_of,
    files_of,
    full_question,
    kept_needs,
    question,
    random_question,
    remember,
    stream_of,
)
from lts_jax.systems.kept import kept
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.simplemem_settings import SimplememSettings
from lts_jax.systems.simplemem_tables import document_of, figures_of
from lts_jax.tasks.almanac.records import Almanac
from lts_jax.tasks.almanac.world import build_almanac

SLIPS = (0.0, 0.05, 0.1)
"""Of the table over the extractor's slips, beside the one of the settings."""

NUM_SLIP_STREAMS = 3


def simplemem(
    settings: SimplememSettings, folder: RunFolder, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[Figure]]:
    """The study's document and figures; what a file has is not computed again.

    Raises:
        UserError: fewer tasks in the split than the streams need.
    """
    almanac, encoder = build_almanac(settings.world_seed), make_encoder("hashing")
    streams = streams_of(almanac, settings)
    raw: list[Any] = []
    facts: dict[int, list[Any]] = {}
    slips: dict[float, list[Any]] = {}
    upkeep: list[Any] = []
    for number, tasks in enumerate(streams):
        shown = stream_of(almanac, tasks)
        work = _Work(almanac, tasks, shown, encoder, settings)
        raw.append(_once(folder.path / "streams" / f"raw_{number}.json", work.raw, say))
        for seed in range(settings.first_seed, settings.first_seed + settings.num_seeds):
            path = folder.path / "streams" / f"facts_{number}_{seed}.json"
            facts.setdefault(number, []).append(_once(path, partial(work.facts, seed), say))
        for level in SLIPS if number < NUM_SLIP_STREAMS else ():
            path = folder.path / "streams" / f"slips_{number}_{level:g}.json"
            slips.setdefault(level, []).append(_once(path, partial(work.slips, level), say))
        if number < NUM_SLIP_STREAMS:
            upkeep.append(_once(folder.path / "streams" / f"upkeep_{number}.json", work.upkeep, say))
    teams: list[dict[str, Any]] = []
    if settings.rollout_tasks:
        from lts_jax.systems.fact_teams import teams_with_facts

        teams = teams_with_facts(settings, folder, say)
    return document_of(settings, raw, facts, slips, upkeep, teams), figures_of(raw, facts)


def streams_of(almanac: Almanac, settings: SimplememSettings) -> list[Sequence[Task]]:
    """The tasks of each stream.

    Raises:
        UserError: the split has fewer.
    """
    tasks, size = almanac.tasks_of(settings.split), settings.stream_tasks
    if settings.num_streams * size > len(tasks):
        raise UserError(
            f"num_streams, stream_tasks: expected at most {len(tasks)} tasks of the {settings.split} split together, "
            f"got {settings.num_streams} times {size}"
        )
    return [tasks[number * size : (number + 1) * size] for number in range(settings.num_streams)]


def _once(path: Path, compute: Callable[[], dict[str, Any]], say: Callable[[str], None]) -> dict[str, Any]:
    return kept(path, compute, partial(say, path.stem.replace("_", " ")))


class _Work:
    """What is measured on one stream."""

    def __init__(
        self,
        almanac: Almanac,
        tasks: Sequence[Task],
        shown: Sequence[Shown],
        encoder: Encoder,
        settings: SimplememSettings,
    ) -> None:
        self._almanac, self._tasks, self._shown, self._encoder = almanac, tasks, shown, encoder
        self._settings = settings

    def raw(self) -> dict[str, Any]:
        """Raw values: all of them in the prompt, and read by the same reader, cut as a bank cuts them, or whole."""
        most, reading = self._settings.max_value_characters, self._settings.reading
        whole = [raw_entry(number, shown.text, shown.seconds) for number, shown in enumerate(self._shown)]
        short = [raw_entry(number, cut(shown.text, most), shown.seconds) for number, shown in enumerate(self._shown)]
        by_cosine = cosine_only(reading)
        kept, needed = kept_needs(self._tasks, self._almanac, [shown.text for shown in self._shown])
        return {
            "kept": kept,
            "needed": needed,
            "tokens": sum(count_tokens(shown.text) for shown in self._shown),
            "distinct_tokens": sum(count_tokens(text) for text in {shown.text for shown in self._shown}),
            "num_texts": len(self._shown),
            "rows": {
                "full context": self._asked(lambda task, files: full_question(task, self._shown, files)),
                "full context, own task": self._asked(self._own),
                "raw bank": self._read(short, reading),
                "raw bank, whole values": self._read(whole, reading),
                "raw bank, cosine": self._read(short, by_cosine),
            },
        }

    def facts(self, seed: int) -> dict[str, Any]:
        """Facts, and every switch off in turn."""
        settings = self._settings
        facts, reading = settings.facts, settings.reading
        memory = self._memory(facts, settings.slips, seed)
        ungated = replace(facts, gate=replace(facts.gate, threshold=0.0))
        unmerged = replace(facts, merge=replace(facts.merge, threshold=NO_MERGING))
        stored = {
            "facts": memory,
            "no gate": self._memory(ungated, settings.slips, seed),
            "no merge": self._memory(unmerged, settings.slips, seed),
        }
        entries = readable(memory.living)
        rows = {name: self._read(readable(each.living), reading) for name, each in stored.items()}
        read = [row["num_read"] for row in rows["facts"]]
        num_read = max(1, round(sum(read) / max(1, len(read))))
        return {
            "stored": {name: self._stored(each) for name, each in stored.items()},
            "rows": {
                **rows,
                "no hybrid": self._read(entries, cosine_only(reading)),
                "no depth by need": self._read(entries, replace(reading, depth_growth=0.0)),
                "no reflection": self._read(entries, replace(reading, max_reflections=0)),
                "random": self._asked(lambda task, files: random_question(task, entries, files, num_read)),
            },
        }

    def slips(self, level: float) -> dict[str, Any]:
        """Facts of an extractor that errs more or less."""
        memory = self._memory(self._settings.facts, level, self._settings.first_seed)
        return {
            "stored": {"facts": self._stored(memory)},
            "rows": {"facts": self._read(readable(memory.living), self._settings.reading)},
        }

    def upkeep(self) -> dict[str, Any]:
        """Facts before and after one pass of upkeep when the stream has ended."""
        memory = self._memory(self._settings.facts, self._settings.slips, self._settings.first_seed)
        before = readable(memory.living)
        memory.keep_up(self._shown[-1].seconds)
        reading = self._settings.reading
        return {
            "stored": {"facts": self._stored(memory)},
            "num_hidden": len(memory.hidden),
            "rows": {"before": self._read(before, reading), "facts": self._read(readable(memory.living), reading)},
        }

    async def _own(self, task: Task, files: Sequence[str]) -> Asked:
        return await full_question(task, [shown for shown in self._shown if shown.task == task.task_id], files)

    def _memory(self, facts: FactSettings, slips: float, seed: int) -> FactMemory:
        memory, _ = asyncio.run(remember(self._shown, self._encoder, facts, slips, seed))
        return memory

    def _stored(self, memory: FactMemory) -> dict[str, Any]:
        texts = [entry.text for entry in memory.living]
        kept, asked = kept_needs(self._tasks, self._almanac, texts)
        return {
            "tokens": sum(map(count_tokens, texts)),
            "num_entries": len(texts),
            "num_facts": len(memory.leaves),
            "num_windows": memory.num_windows,
            "num_dropped": memory.num_dropped,
            "kept": kept,
            "needed": asked,
            "refused": dict(memory.counts.refused),
            "noted": dict(memory.counts.noted),
            "digest": digest_of(texts),
        }

    def _read(self, entries: Sequence[Any], reading: HybridSettings) -> list[dict[str, Any]]:
        reader = HybridReader(self._encoder, reading)
        return self._asked(lambda task, files: question(task, entries, files, reader))

    def _asked(self, ask: Callable[[Task, Sequence[str]], Any]) -> list[dict[str, Any]]:
        async def all_of_them() -> list[Asked]:
            return [await ask(task, files_of(self._almanac, task)) for task in self._tasks]

        return [asdict(one) for one in asyncio.run(all_of_them())]


def cosine_only(reading: HybridSettings) -> HybridSettings:
    """One view and one weight: cosine."""
    return replace(reading, bm25_weight=0.0, metadata_weight=0.0, num_keyword=0, num_structured=0)
