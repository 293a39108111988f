"""How long a reader takes to choose among 100 entries, and routing to choose what a worker is shown. No model is asked.

python experiments/rcr/time_readers.py    # half a minute
"""

import asyncio
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import tyro

from lts_jax.admission.offline_truth import rightly_stated
from lts_jax.admission.rules import make_rule
from lts_jax.evaluation.evaluate import Arm
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.key_scores import bm25_scores, cosines
from lts_jax.memory.making_readers import make_reader
from lts_jax.memory.readers import READERS, SELECT
from lts_jax.memory.reading_policy import ReadableEntry, ReadingRequest
from lts_jax.records import Coordinates, Message, ModelCall, Task
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.team_side import Routed
from lts_jax.storage import write_json, write_text
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks
from lts_jax.teams.routing import RoutingSettings, route


@dataclass(frozen=True, slots=True)
class Config:
    """Size of the study."""

    num_entries: int = 100
    num_calls: int = 200  # of a reader; each with an instruction of its own
    budget: int = 2000  # tokens
    results: Path = Path(__file__).parent / "results"


def main(config: Config) -> None:
    """Time, print, store."""
    told: list[Routed] = []
    entries, instructions, task = collected(config, told)
    lines, stored = [], {}
    encoder = make_encoder()
    supplied = {"encoder": encoder, "rightly_stated": rightly_stated}
    for name in READERS:
        if name == SELECT:
            continue
        policy = make_reader(name, supplied)
        assert policy is not None
        for kind, budget in (("", None), (f", {config.budget} tokens", config.budget)):
            request = ReadingRequest(
                task.question, "", "orchestrator", "work", entries, budget, 3, Coordinates(0, 0, "t", 0), 0, 9, 99.0
            )
            requests = [replace(request, instruction=f"{each} ({name}{kind})") for each in instructions]  # all new
            stored[f"{name}{kind}"] = timed([partial(_choose, policy, each) for each in requests])
    fresh = [partial(bm25_scores, "find the price", [each.key for each in entries[: -n - 1]]) for n in range(40)]
    stored["bm25, other keys"] = timed(fresh)
    for mode in ("static", "greedy", "density", "exact"):
        settings = RoutingSettings(mode, config.budget)  # type: ignore[arg-type]
        calls = [partial(route, one.agent, one.thread, settings, partial(cosines, encoder)) for one in told]
        stored[f"route, {mode}"] = timed(calls[: config.num_calls])
    for name, (median, most) in stored.items():
        lines.append(f"{name:24}{median:10.3f}{most:10.3f}")
    head = f"{'milliseconds a call':24}{'median':>10}{'95 %':>10}"
    where = f"{config.num_entries} entries, {platform.machine()}, Python {platform.python_version()}"
    text = "\n".join([where, head, *lines])
    print(text)
    write_text(config.results / "reader_times.txt", text + "\n")
    write_json(config.results / "reader_times.json", {name: list(each) for name, each in stored.items()})


def collected(config: Config, told: list[Routed]) -> tuple[list[ReadableEntry], list[str], Task]:
    """Entries and instructions of simulated rollouts, as many as are wanted, all of other teams than the reader's."""
    run = make_parts(TrainSettings())
    tasks = almanac_tasks(0, "validation", 12)
    arm: Arm = make_arm("all", run, make_rule("all", run.encoder))
    parts = replace(arm.parts, on_routed=told.append)
    groups = collect_groups(tasks, parts, arm.rollout, CollectSettings(1), Iteration(0, 0))
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    found = [
        ReadableEntry(
            0, one.key, one.value[:2500], max(1, len(one.value[:2500]) // 4), 1, one.step, one.seconds, one.origin,
            one.trust, 0,
        )
        for rollout in rollouts
        for one in rollout.entries
    ]  # fmt: skip
    entries = [replace(one, entry=number) for number, one in enumerate(found[: config.num_entries])]
    instructions = [step.instruction for rollout in rollouts for step in rollout.steps][: config.num_calls]
    return entries, instructions, tasks[0]


def timed(calls: Sequence[Callable[[], object]]) -> tuple[float, float]:
    """Median and 95th percentile of milliseconds, after a first call, by which keys are encoded and indexed."""
    calls[0]()
    taken = []
    for call in calls[1:]:
        started = perf_counter()
        call()
        taken.append(1000 * (perf_counter() - started))
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def _choose(policy: object, request: ReadingRequest) -> object:
    coroutine = policy.choose(request, _nobody)  # type: ignore[attr-defined]
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a reader without a model waits for nothing")


async def _nobody(purpose: str, messages: Sequence[Message]) -> ModelCall:
    await asyncio.sleep(0)
    raise AssertionError


if __name__ == "__main__":
    main(tyro.cli(Config))
