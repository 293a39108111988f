"""Does what a model only thinks, or what was cut, ever count? Thousands of replies, read as a team reads them.

python experiments/hostile_replies/run.py [--calls 4000] [--seed 0]
"""

import argparse
import asyncio
import json
import os
import random
from collections import Counter
from pathlib import Path

import httpx2
from kinds import DEFECTS, DRESSES, PURPOSES, SAID, THOUGHTS, UNSAID, WIRES, body

from lts_jax.admission.rules import parse_verdict
from lts_jax.llm.chat import ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.memory.summarize import SummarySettings, summarize_step
from lts_jax.records import Message, ModelCall, Step
from lts_jax.teams.aggregate import extract_answer
from lts_jax.teams.ledger import Ledger, parse_ledger
from lts_jax.teams.tolerant_json import is_whole_json
from lts_jax.teams.workers import last_code, parse_tool_call

RESULTS = Path(__file__).parent / "results" / "hostile_replies.json"
TOOLS = {"web_search": ("query",), "visit_url": ("url",)}
STEP = Step(0, 0, "WebSurfer", "Count.", "", "a page")
INTACT = {"none"}
RIGHT = {"ledger": "go on", "act": "right", "answer": "right", "judge": "right", "code": "right", "summarize": "right"}


async def hear(purpose, completion):
    """What a team makes of a completion: right, nothing (asked again, refused or marked), or wrong."""
    reply, is_cut = completion.reply, completion.is_cut
    if purpose == "ledger":
        found = parse_ledger(reply, is_cut=is_cut)
        if not isinstance(found, Ledger):
            return "nothing"
        return "wrong" if found.is_request_satisfied else "right"
    if (is_cut and purpose in ("judge", "code", "answer")) or (
        is_cut and purpose == "act" and not is_whole_json(reply)
    ):
        return "nothing"
    if purpose == "act":
        found = parse_tool_call(reply, TOOLS)
        if isinstance(found, str):
            return "nothing"
        return "wrong" if "WRONG" in str(found) else "right"
    if purpose == "answer":
        answer = extract_answer(reply)
        return "right" if answer == "1893" else "wrong" if answer == "7" else "nothing"
    if purpose == "judge":
        return {True: "right", False: "wrong", None: "nothing"}[parse_verdict(reply)]
    if purpose == "code":
        code = last_code([Message("user", reply, "Coder")])
        return "wrong" if "WRONG" in code else "right" if "right" in code else "nothing"

    async def ask(purpose, messages):
        return ModelCall(purpose, reply, 1, 1, is_cut=is_cut)

    key = await summarize_step("?", STEP, ask, SummarySettings())
    if "WRONG" in key:
        return "wrong"
    if "think>" in key.lower() or "<|" in key:  # a mark that is left counts where nothing was spliced into it
        return "marked"
    return "right" if key.startswith("Found the heron count of 1893") else "nothing"


async def main():
    """Draw, call, count, and print what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "sk-test-0123456789abcdef0123"
    source = random.Random(options.seed)
    counts, wrong, raised, kinds, lost = Counter(), [], [], set(), []
    said_now = {}

    async def serve(request):
        content, is_stream = said_now["body"]
        kind = "text/event-stream" if is_stream else "application/json"
        return httpx2.Response(200, content=content, headers={"Content-Type": kind})

    models = {}
    for stream in (False, True):
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(serve))
        settings = OpenAIChatSettings("m", "https://m.test/v1", max_retries=0, stream=stream)
        models[stream] = OpenAIChatModel(settings, http_client=client)
    for number in range(options.calls):
        purpose = PURPOSES[number % len(PURPOSES)]
        kind = tuple(source.choice(list(each)) for each in (THOUGHTS, DRESSES, DEFECTS, WIRES))
        thought, _, defect, wire = kind
        kinds.add(kind)
        said_now["body"] = body(purpose, *kind, source.randrange)
        asked = [Message("user", SAID["judge"])]
        try:
            completion = await models[wire != "whole"].complete(asked, seed=1, json_reply=purpose in ("ledger", "act"))
            outcome = await hear(purpose, completion)
        except ModelFailure:
            outcome = "nothing"
        except Exception as error:
            outcome = "raised"
            raised.append(f"{purpose} {kind}: {type(error).__name__}: {error}")
        if outcome == "marked":
            outcome = "nothing" if defect == "spliced" else "wrong"
        is_intact = defect in INTACT and thought not in UNSAID
        counts[f"{'intact' if is_intact else 'hostile'}, {outcome}"] += 1
        if outcome == "wrong":
            wrong.append(f"{purpose} {kind}: {said_now['body'][0][:400]!r}")
        if is_intact and outcome == "nothing":
            lost.append(f"{purpose} {kind}: {said_now['body'][0][:400]!r}")
    found = {
        "calls": options.calls,
        "kinds": len(kinds),
        "exceptions": len(raised),
        "thoughts or cut replies that counted": len(wrong),
        "false solved": sum(line.startswith("ledger") for line in wrong),
        "counts": dict(sorted(counts.items())),
    }
    print(json.dumps(found, indent=1))
    for name, lines in (("raised", raised), ("wrong", wrong), ("lost", lost)):
        for line in lines[:8]:
            print(f"{name}: {line}")
    if options.seed == 0:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
