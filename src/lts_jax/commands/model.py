"""`lts model check`: what an endpoint takes of what teams ask, and what a call costs, in five small questions."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Literal

import tyro

from lts_jax.errors import UserError
from lts_jax.llm.budget import Price
from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.llm.endpoint_check import EndpointCheck, check_endpoint
from lts_jax.rollouts.failed_calls import Reason
from lts_jax.systems.world import ModelSettings, endpoint_settings


@dataclass(frozen=True, slots=True)
class Command:
    """Ask an endpoint five small questions: what it takes of what teams ask, and what a call costs."""

    action: tyro.conf.Positional[Literal["check"]]
    """`check` asks and tells."""
    model: ModelSettings = field(default_factory=ModelSettings)


def run(command: Command) -> None:
    """Ask and tell.

    Raises:
        UserError: no endpoint was named, or it does not answer the plainest question, or not what teams ask.
    """
    if command.model.is_simulated and command.model.base_url is None:
        raise UserError("model.name: expected the name of a model at an endpoint (--model.base-url), got 'simulated'")
    if command.model.is_local:
        raise UserError("model.name: expected a model at an endpoint, got one of this process, which takes all of it")
    try:
        found = asyncio.run(check_endpoint(endpoint_settings(command.model)))
    except ModelFailure as failure:
        raise UserError(_advised(failure)) from None
    print(check_text(command.model.name, found, command.model.price))
    thread = found.answers["thread"]
    if isinstance(thread, ModelFailure):
        raise UserError(f"what teams ask is not answered: {_advised(thread)}")


def check_text(name: str, found: EndpointCheck, price: Price) -> str:
    """What came of the questions, a line each, and what they cost."""
    rows = {
        "answers": _answered(found.answers["plain"]),
        "names of speakers": _taken(found.taken.form.names, "no: the speaker goes into the text"),
        "one role twice in a row": _taken(found.taken.form.neighbours, "no: such messages are sent as one"),
        "system messages": _taken(found.taken.form.system, "no: sent with the first user message"),
        "seed": _seed(found),
        "limit of tokens": found.taken.max_tokens_field
        + ("" if _is_cut(found) else ", and a cut reply does not say so"),
        "JSON": _json(found),
        "streams": _stream(found),
        "thoughts": "yes, kept apart from what is said"
        if any(one.thought for one in found.completions)
        else "none seen",
    }
    width = max(map(len, rows))
    lines = [f"{name}:", *(f"  {what:<{width}}  {told}" for what, told in rows.items())]
    return "\n".join([*lines, _cost(found.completions, price)])


def _taken(is_taken: bool, instead: str) -> str:
    return "yes" if is_taken else instead


def _answered(answer: Completion | ModelFailure) -> str:
    if isinstance(answer, ModelFailure):
        return f"no: {answer}"
    return f"{' '.join(answer.reply.split())[:60]!r}, as {answer.model}, in {answer.seconds:.1f} s"


def _seed(found: EndpointCheck) -> str:
    if not found.taken.seed:
        return "no"
    first, again = (found.answers[name] for name in ("thread", "again"))
    if not isinstance(first, Completion) or not isinstance(again, Completion):
        return "not known: there was no answer"
    same = "the same answer twice" if first.reply == again.reply else "another answer the second time"
    return f"taken, {same}"


def _json(found: EndpointCheck) -> str:
    thread = found.answers["thread"]
    if isinstance(thread, ModelFailure):
        return f"no answer: {thread}"
    mode = found.taken.json_modes[0] if found.taken.json_modes else "by the prompt alone"
    try:
        is_object = isinstance(json.loads(thread.reply), dict)
    except (ValueError, RecursionError):
        is_object = False
    return mode if is_object else f"{mode}, and the answer was none: {' '.join(thread.reply.split())[:60]!r}"


def _stream(found: EndpointCheck) -> str:
    if found.streams is None:
        return f"no: {found.answers['stream']}"
    if not found.streams.stream:
        return "no: replies come whole"
    return "yes" if found.streams.stream_usage else "yes, without usage: tokens are estimated"


def _is_cut(found: EndpointCheck) -> bool:
    limit = found.answers["limit"]
    return isinstance(limit, ModelFailure) or limit.is_cut  # a model that only thought until there has said so


def _cost(completions: list[Completion], price: Price) -> str:
    prompt = sum(one.prompt_tokens for one in completions)
    received = sum(one.completion_tokens for one in completions)
    seconds = sum(one.seconds for one in completions)
    usd = price.usd_of_tokens(prompt, received)
    told = (
        f"${usd:.5f}, ${usd / len(completions):.6f} a call" if price != Price() else "dollars unknown (--model.price)"
    )
    return (
        f"{len(completions)} answers: {prompt:,} tokens sent, {received:,} received, {seconds:.1f} s, {told}; "
        "a call of a team sends some thousands"
    )


def _advised(failure: ModelFailure) -> str:
    return Reason(str(failure.kind), str(failure), 1).told()
