"""How fast a language model of 135M weights is on two cores, against `transformers` in the same process; what it costs.

Run: python experiments/decoder_speed/run.py --folder smollm2 [--only alone together shared ledgers start memory]

The machine may be busy, so both sides alternate round by round, CPU seconds stand beside wall seconds, and a ratio is
the median over rounds.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

STORY = "Write a long story about {}."
TOPICS = ("a fox", "a pond", "the moon", "a ship", "a clock", "the rain")
OUT = Path(__file__).parent / "results" / "decoder_speed.json"


def alone(folder: str, rounds: int) -> dict[str, Any]:
    """Greedy tokens of one reply, one core: seconds a token, ours and transformers' in turn, in one process."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import torch
    import transformers

    from lts_jax.models.chat_format import ChatFormat
    from lts_jax.models.decoding import empty_row, extend_rows, load_decoder
    from lts_jax.models.qwen3_settings import settings_from_json

    torch.set_num_threads(1)
    settings, chat = settings_from_json(Path(folder)), ChatFormat(folder)
    weights = load_decoder(folder, settings)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = chat.prompt([{"role": "user", "content": STORY.format(TOPICS[0])}])

    def ours_run(num_tokens: int) -> list[int]:
        row, found = empty_row(settings, 256), []
        logits = extend_rows(settings, weights, [row], [prompt], 64)[0]
        for _ in range(num_tokens):
            found.append(int(logits.argmax()))
            logits = extend_rows(settings, weights, [row], [[found[-1]]], 1)[0]
        return found

    def theirs_run(num_tokens: int) -> list[int]:
        with torch.no_grad():
            inputs = torch.tensor([prompt])
            limits = {"max_new_tokens": num_tokens, "min_new_tokens": num_tokens, "do_sample": False}
            return list(theirs.generate(inputs, **limits)[0][len(prompt) :].tolist())

    assert ours_run(32) == theirs_run(32)
    seconds: dict[str, list[float]] = {"ours": [], "transformers": []}
    for _ in range(rounds):
        for name, run in (("ours", ours_run), ("transformers", theirs_run)):
            started = time.process_time()
            run(64)
            seconds[name].append((time.process_time() - started) / 64)
    ratios = [two / one for one, two in zip(seconds["ours"], seconds["transformers"], strict=True)]
    told = {f"{name}_tokens_per_cpu_second": round(1 / median(found), 1) for name, found in seconds.items()}
    return told | {"times_as_fast": round(median(ratios), 2), "ratios": [round(one, 2) for one in sorted(ratios)]}


def together(folder: str, rounds: int) -> dict[str, Any]:
    """Tokens a second of six requests that wait, against one."""
    from lts_jax.bridge.local_model import LocalModel, LocalSettings

    model = LocalModel(LocalSettings(folder, temperature=0.0))
    found: dict[int, list[tuple[float, float]]] = {1: [], 6: []}
    for place in range(rounds + 1):
        for count, rates in found.items():
            wall, cpu = time.monotonic(), time.process_time()
            replies = asyncio.run(_ask(model, TOPICS[:count], 96))
            tokens = sum(reply.completion_tokens for reply in replies)
            if place:  # the first compiles
                rates.append((tokens / (time.monotonic() - wall), tokens / (time.process_time() - cpu)))
    told: dict[str, Any] = {}
    for which, name in enumerate(("wall", "cpu")):
        ratios = [six[which] / one[which] for one, six in zip(found[1], found[6], strict=True)]
        told[f"times_as_many_tokens_per_{name}_second"] = round(median(ratios), 2)
        for count, measured in found.items():
            told[f"tokens_per_{name}_second_of_{count}"] = round(median(rate[which] for rate in measured), 1)
    return told


def shared(folder: str, rounds: int) -> dict[str, Any]:
    """Seconds to the first token of a second request that shares 1,500 tokens with the first, of those of the first."""
    from lts_jax.bridge.local_model import LocalModel, LocalSettings

    model = LocalModel(LocalSettings(folder, temperature=0.0))
    ratios, firsts = [], []
    for place in range(rounds + 1):
        start = f"Case {place}. " + "The heron stands by the pond and waits for the rain. " * 137
        seconds = []
        for end in ("Who waits?", "Where?"):
            started = time.monotonic()
            reply = asyncio.run(_ask(model, (start + end,), 1, "{}"))[0]
            seconds.append(time.monotonic() - started)
        assert reply.prompt_tokens > 1_500, reply.prompt_tokens
        if place:
            ratios.append(seconds[1] / seconds[0])
            firsts.append(seconds[0])
    return {
        "first_seconds": round(median(firsts), 2),
        "second_of_first": round(median(ratios), 3),
        "shared_tokens": model.generator.totals.shared_tokens,
    }


def ledgers(folder: str, rounds: int) -> dict[str, Any]:
    """Share of ledgers that parse at once, with token masks and without."""
    from lts_jax import prompts
    from lts_jax.bridge.local_model import LocalModel, LocalSettings
    from lts_jax.llm.chat import Wish
    from lts_jax.records import Message
    from lts_jax.teams.ledger import Ledger, parse_ledger

    model = LocalModel(LocalSettings(folder))
    threads = [
        [prompts.task_ledger(f"Who built {topic}?", (), "unknown", "- look"), prompts.ledger_request()]
        for topic in TOPICS
    ]
    told: dict[str, Any] = {}
    for name, count in (("with_masks", 8 * rounds), ("without", 2 * rounds)):

        async def ask(number: int, name: str = name) -> Any:
            thread = threads[number % len(threads)]
            if name == "with_masks":
                return await model.complete(thread, seed=number, json_reply=True)
            said = [Message("user", thread[0].content), Message("user", "Now: " + thread[1].content)]
            return await model.complete_as(said, seed=number, wish=Wish(max_completion_tokens=300))

        async def every(count: int = count, ask: Any = ask) -> list[Any]:
            return await asyncio.gather(*(ask(number) for number in range(count)))

        started = time.monotonic()
        replies = asyncio.run(every())
        parsed = [parse_ledger(reply.reply, is_cut=reply.is_cut) for reply in replies]
        good = sum(isinstance(one, Ledger) for one in parsed)
        kinds = sorted({one.kind for one in parsed if not isinstance(one, Ledger)})
        told[name] = {"parse": good, "of": count, "problems": kinds, "seconds": round(time.monotonic() - started, 1)}
    return told


def start(folder: str, rounds: int) -> dict[str, Any]:
    """Seconds of a new process, with no compiled program kept, to its first reply."""
    code = (
        "import asyncio, sys; from lts_jax.bridge.local_model import *; from lts_jax.records import Message\n"
        "model = LocalModel(LocalSettings(sys.argv[1], temperature=0.0))\n"
        "print(asyncio.run(model.complete([Message('user', 'What is the capital of France?')], seed=0)).reply)"
    )
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": scratch}
        started = time.monotonic()
        said = subprocess.run(
            [sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True, check=True
        )
        return {"seconds": round(time.monotonic() - started, 1), "reply": said.stdout.strip()}


def memory(folder: str, rounds: int) -> dict[str, Any]:
    """Most memory of a process that answers six requests of different beginnings at once, of some 1,000 tokens each."""
    from lts_jax.bridge.local_model import LocalModel, LocalSettings

    model = LocalModel(LocalSettings(folder, temperature=0.0))
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    texts = tuple(f"{topic}. " + "The heron waits for rain. " * 140 for topic in TOPICS)
    asyncio.run(_ask(model, texts, 32, "{}"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"loaded_gb": round(loaded / 2**20, 2), "most_gb": round(most / 2**20, 2)}


async def _ask(model: Any, topics: tuple[str, ...], num_tokens: int, template: str = STORY) -> list[Any]:
    """Replies to requests that all wait at once."""
    from lts_jax.llm.chat import Wish
    from lts_jax.records import Message

    wish = Wish(max_completion_tokens=num_tokens)
    calls = (model.complete_as([Message("user", template.format(one))], seed=0, wish=wish) for one in topics)
    return list(await asyncio.gather(*calls))


PARTS = {one.__name__: one for one in (alone, together, shared, ledgers, start, memory)}


def _in_child(name: str, folder: str, rounds: int, pipe: Any) -> None:
    pipe.send(PARTS[name](folder, rounds))


def main() -> None:
    """Measure each part in a process of its own and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="smollm2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS))
    options = parser.parse_args()
    from lts_jax.programs import keep_programs
    from lts_jax.storage import write_json

    keep_programs()
    found: dict[str, Any] = json.loads(OUT.read_text()) if OUT.is_file() else {}
    for name in options.only:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        arguments = (name, options.folder, options.rounds, theirs)
        child = multiprocessing.get_context("spawn").Process(target=_in_child, args=arguments)
        child.start()
        theirs.close()
        found[name] = ours.recv()
        child.join()
        print(name, json.dumps(found[name]), flush=True)
        write_json(OUT, found)


if __name__ == "__main__":
    main()
