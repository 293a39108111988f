"""The ledger's two forms on a real small model, with its tokens held to a grammar and without.

    python experiments/real_small_model/ledgers.py --folder smollm2      # ten minutes of two busy cores

Each of the study's questions is at its first progress check: facts and plan are the model's own, nothing was looked up
yet. So a ledger that calls the request satisfied is wrong. Writes results/ledgers.json, and goes on from there.
"""

import argparse
import asyncio
import json
import runpy
import time
from pathlib import Path
from typing import Any

import numpy as np

from lts_jax import prompts
from lts_jax.bridge.local_model import LocalModel, LocalSettings
from lts_jax.evaluation.statistics import mean_interval
from lts_jax.llm.chat import Completion, Wish
from lts_jax.records import Message, Task
from lts_jax.storage import write_json
from lts_jax.teams.ledger import Ledger, parse_ledger
from lts_jax.wording import LedgerForm

HERE = Path(__file__).parent
OUT = HERE / "results" / "ledgers.json"
ARMS: tuple[tuple[LedgerForm, bool], ...] = (("full", True), ("short", True), ("full", False), ("short", False))


async def thread_of(model: LocalModel, task: Task, seed: int) -> Message:
    """The task ledger with which a team begins."""
    asked = [prompts.facts_request(task.question, ())]
    facts = await model.complete(asked, seed=seed)
    asked += [Message("assistant", facts.reply), prompts.plan_request()]
    plan = await model.complete(asked, seed=seed)
    return prompts.task_ledger(task.question, (), facts.reply, plan.reply)


async def ledger_of(model: LocalModel, thread: Message, form: LedgerForm, seed: int, *, masks: bool) -> Completion:
    """One reply; without masks the request is worded so that the grammar does not know it."""
    request = prompts.ledger_request(form=form)
    if masks:
        return await model.complete([thread, request], seed=seed, json_reply=True)
    unknown = Message("user", "Now: " + request.content)
    return await model.complete_as([thread, unknown], seed=seed, wish=Wish(max_completion_tokens=400))


async def measure(model: LocalModel, tasks: list[Task]) -> dict[str, Any]:
    """All arms on all questions, eight replies at a time."""
    threads = await asyncio.gather(*(thread_of(model, task, seed) for seed, task in enumerate(tasks)))
    names, found = [task.task_id for task in tasks], json.loads(OUT.read_text()) if OUT.is_file() else {}
    for form, masks in ARMS:
        name = f"{form}, {'masks' if masks else 'no masks'}"
        if name in found:
            continue
        started = time.monotonic()
        replies = await asyncio.gather(
            *(ledger_of(model, thread, form, seed, masks=masks) for seed, thread in enumerate(threads))
        )
        read = [parse_ledger(reply.reply, is_cut=reply.is_cut) for reply in replies]
        is_read = [float(isinstance(one, Ledger)) for one in read]
        says_done = [float(isinstance(one, Ledger) and one.is_request_satisfied) for one in read]
        found[name] = {
            "replies": len(replies),
            "read_at_once": interval(is_read, names),
            "call_it_satisfied": interval(says_done, names),
            "tokens": round(float(np.mean([reply.completion_tokens for reply in replies])), 1),
            "seconds_of_all": round(time.monotonic() - started, 1),
        }
        print(form, masks, json.dumps(found[name]), flush=True)
        write_json(OUT, found)
    return found


def interval(values: list[float], names: list[str]) -> list[float]:
    """Mean and its 95 % interval over questions."""
    size = mean_interval(values, names, within=(0.0, 1.0))
    return [round(float(one), 3) for one in (size.estimate, size.low, size.high)]


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="smollm2")
    parser.add_argument("--questions", type=int, default=20, help="of each of the two kinds")
    options = parser.parse_args()
    study = runpy.run_path(str(HERE / "run.py"), run_name="study")
    model = LocalModel(
        LocalSettings(options.folder, temperature=0.8, max_completion_tokens=320, call_deadline_seconds=3600.0)
    )
    tasks = [*study["easy"](options.questions), *study["sums"](options.questions)]
    asyncio.run(measure(model, tasks))


if __name__ == "__main__":
    from lts_jax.programs import keep_programs

    keep_programs()
    main()
