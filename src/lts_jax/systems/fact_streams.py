"""Streams of pages that tasks of the offline world make teams read, and what a memory of them is worth.

For every page that a task needs, the stream holds what the tools showed of it, and of the first two other pages that a
search for it lists: near misses, outdated guides, copies. Each page that a task needs is there, so what is measured is
the memory and not the search. All reading is by the simulated model.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from random import Random

from lts_jax import prompts
from lts_jax.llm.chat import Ask
from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.model import SimulatedModel
from lts_jax.llm.simulated.recalling import recalled
from lts_jax.llm.simulated.settings import PERFECT
from lts_jax.memory.encoders import Encoder
from lts_jax.memory.fact_memory import FactMemory, FactSettings, Source, count_tokens
from lts_jax.memory.hybrid import HybridReader
from lts_jax.memory.reading_policy import ReadableEntry, ReadingRequest
from lts_jax.records import Coordinates, Message, ModelCall, Task
from lts_jax.seeds import seed_and_uniform
from lts_jax.tasks.almanac.records import Almanac
from lts_jax.tasks.almanac.tools import AlmanacTools
from lts_jax.tasks.scoring import score_answer

STEP_SECONDS = 30.0  # between two texts of a stream
NUM_OTHERS = 2  # pages beside a needed one
_RESULT = re.compile(r"<([^\s<>]{1,2000})>")


@dataclass(frozen=True, slots=True)
class Shown:
    """One text that a tool showed."""

    task: str  # to whose team
    seconds: float
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a memory. Tokens are of the prompts of all calls, without attached files."""

    task: str
    score: float
    prompt_tokens: int
    num_read: int
    read_tokens: int
    seconds: float  # of choosing, without the model
    read: str  # digest of what was read


def stream_of(almanac: Almanac, tasks: Sequence[Task]) -> list[Shown]:
    """What the tools showed, task by task; a page that several tasks need is shown to each."""
    tools = AlmanacTools(almanac)
    found: list[Shown] = []
    for task in tasks:
        for need in almanac.needs[task.task_id]:
            first = almanac.mirror_urls.get(need.url, need.url)
            listed = [url for url in _RESULT.findall(tools.web_search(need.subject).text) if url != first]
            for url in (first, *listed[:NUM_OTHERS]):
                viewport = 1
                while not (result := tools.visit_url(url, viewport)).failed:
                    found.append(Shown(task.task_id, STEP_SECONDS * len(found), url, result.text))
                    viewport += 1
    return found


def files_of(almanac: Almanac, task: Task) -> list[str]:
    """A task's attached files as a tool shows them; whoever is asked has them beside the memory."""
    return [f"File: {name}\n\n{almanac.files[name]}" for name in task.attachments]


def simulated_ask(model: SimulatedModel, calls: list[ModelCall], *labels: str | int) -> Ask:
    """A model to ask, each call seeded by the labels, its purpose and its number; calls are kept in a list."""

    async def ask(purpose: str, messages: Sequence[Message]) -> ModelCall:
        seed, _ = seed_and_uniform(*labels, purpose, len(calls), label="call")
        made = await model.complete(messages, seed=seed)
        call = ModelCall(purpose, made.reply, made.prompt_tokens, made.completion_tokens, made.model)
        calls.append(call)
        return call

    return ask


async def remember(
    stream: Sequence[Shown], encoder: Encoder, settings: FactSettings, slips: float, seed: int
) -> tuple[FactMemory, list[ModelCall]]:
    """The memory that a stream leaves behind, and the calls that it took."""
    calls: list[ModelCall] = []
    extractor = SimulatedModel(replace(PERFECT, overlooks_value=slips, misreads=slips, hallucinates=slips))
    ask = simulated_ask(extractor, calls, seed, "extract")
    memory = FactMemory(encoder, settings)
    for step, shown in enumerate(stream):
        await memory.read(shown.text, Source(shown.seconds, 0, step, shown.name), ask)
    memory.consolidate()
    return memory, calls


async def question(task: Task, entries: Sequence[ReadableEntry], files: Sequence[str], reader: HybridReader) -> Asked:
    """Ask a memory one question: choose what to read, answer from it, score the answer."""
    calls: list[ModelCall] = []
    ask = simulated_ask(SimulatedModel(PERFECT), calls, task.task_id)
    where = Coordinates(0, 0, task.task_id, 0)
    request = ReadingRequest(
        task.question, task.question, "orchestrator", "answer", entries, None, len(entries), where, 0, 0, 0.0
    )
    reading = await reader.choose(request, ask)
    value_of = {entry.entry: entry.value for entry in entries}
    texts = [value_of[entry] for entry in reading.entries]
    return await _answered(task, texts, files, calls, reading.seconds)


async def random_question(task: Task, entries: Sequence[ReadableEntry], files: Sequence[str], num_read: int) -> Asked:
    """The same with as many entries at random: the chance level."""
    taken = Random(f"chance/{task.task_id}").sample(list(entries), min(num_read, len(entries)))
    return await _answered(task, [entry.value for entry in taken], files, [], 0.0)


async def full_question(task: Task, stream: Sequence[Shown], files: Sequence[str]) -> Asked:
    """The same with texts that the tools showed, all of them and uncut."""
    started = time.perf_counter()
    return await _answered(task, [shown.text for shown in stream], files, [], time.perf_counter() - started)


async def _answered(
    task: Task, texts: Sequence[str], files: Sequence[str], calls: list[ModelCall], seconds: float
) -> Asked:
    ask = simulated_ask(SimulatedModel(PERFECT), calls, task.task_id)
    call = await ask("recall", [prompts.recall_request(task.question, [*files, *texts])])
    score = score_answer(task, call.reply.rpartition(prompts.ANSWER_MARKER)[2].strip()).score
    prompt_tokens = sum(call.prompt_tokens for call in calls) - len(calls) * count_tokens("".join(files))
    read = sum(count_tokens(text) for text in texts)
    return Asked(task.task_id, float(score), prompt_tokens, len(texts), read, seconds, digest_of(texts))


def digest_of(texts: Sequence[str]) -> str:
    """Equal for equal texts in the same order."""
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def kept_needs(tasks: Sequence[Task], almanac: Almanac, stored: Sequence[str]) -> tuple[int, int]:
    """How many needed values the stored texts give, and how many the needed pages give when they are read whole."""
    kept = asked = 0
    for task in tasks:
        understanding, files = understand(task.question), files_of(almanac, task)
        pages = [
            almanac.pages[almanac.mirror_urls.get(need.url, need.url)].text for need in almanac.needs[task.task_id]
        ]
        there = recalled(understanding, [*files, *pages]).values
        still = recalled(understanding, [*files, *stored]).values
        asked += len(there)
        kept += sum(still.get(need) == value for need, value in there.items())
    return kept, asked
