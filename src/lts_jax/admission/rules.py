"""Admission without learning: what a learned controller must beat. All behind the same `AdmissionPolicy`.

A rule is a function of one request that says whether to admit, or with which probability:

    def short(request, *, max_words=12):
        return len(request.step.summary.split()) <= max_words

Where it needs more (a listing window, the language model), it is a function of its settings that returns a policy.
Rules that draw use the same uniform number as a learned controller would at the same place, in the same orientation
(small numbers reject), so that policies can be compared decision by decision.
"""

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import isawaitable
from typing import Any

import numpy as np

from lts_jax.admission.policy import ADMIT, REJECT, Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.errors import UserError, show
from lts_jax.llm.chat import Ask
from lts_jax.llm.trying import try_out
from lts_jax.memory.encoded_texts import EncodedTexts, TextEncoder
from lts_jax.parts import Part, function_part, parameters_of, resolve
from lts_jax.prompts import judge_request
from lts_jax.records import Coordinates, Message, Step
from lts_jax.seeds import rollout_coordinates, uniform

MAX_JUDGED_CHARACTERS = 2500  # of a step's output shown to a judge; the same length as a pulled value

_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_CERTAIN_ADMIT = Admission(ADMIT, 0.0, 1.0)
_CERTAIN_REJECT = Admission(REJECT, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class RulePolicy:
    """A rule as an `AdmissionPolicy`. A `listing_window` of 0 means that teams share nothing at all."""

    name: str
    choose: Callable[[AdmissionRequest, Ask], Awaitable[Admission]]
    listing_window: int | None = None

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        """Apply the rule to one step."""
        return await self.choose(request, ask)


def admit_none() -> RulePolicy:
    """Admit nothing and list nothing: teams run apart, as in M1-Parallel (arXiv 2507.08944)."""
    return RulePolicy("none", _reject, listing_window=0)


def admit_all() -> RulePolicy:
    """Admit every step: AddAll of LTS (arXiv 2602.05965, table 2)."""
    return RulePolicy("all", _admit)


def admit_random(rate: float = 0.5) -> RulePolicy:
    """Admit each step with probability `rate`, independently. The log-probability is log(rate) or log(1 - rate).

    Args:
        rate: probability of an admission.
    """
    if not 0.0 <= rate <= 1.0:
        raise UserError(f"random(rate): expected a probability in [0, 1], got {rate}")

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        return _draw(request, rate)

    return RulePolicy(f"random(rate={rate:g})", choose)


def recency(window: int = 10) -> RulePolicy:
    """Admit every step, but list only the newest `window` keys: a first-in first-out memory of that size.

    Args:
        window: keys that are listed.
    """
    if window < 1:
        raise UserError(f"recency(window): expected at least 1, got {window}")
    return RulePolicy(f"recency(window={window})", _admit, listing_window=window)


def similarity(encoder: TextEncoder, threshold: float = 0.8) -> RulePolicy:
    """Admit a step unless its summary nearly repeats a key: iff max_n cos(phi(s), phi(s_n)) < `threshold`.

    The first step is always admitted, and so is a summary without any feature (a zero vector has cosine 0).

    Args:
        encoder: phi.
        threshold: cosine from which a summary is a repeat.
    """
    if not -1.0 <= threshold <= 1.0:
        raise UserError(f"similarity(threshold): expected a cosine in [-1, 1], got {threshold}")
    texts = encoder if isinstance(encoder, EncodedTexts) else EncodedTexts(encoder)

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        keys = request.living_keys
        if not keys:
            return _CERTAIN_ADMIT
        closest = float(_cosines(texts, request.step.summary, keys).max())
        return _CERTAIN_ADMIT if closest < threshold else _CERTAIN_REJECT

    return RulePolicy(f"similarity(threshold={threshold:g})", choose)


def model_judge() -> RulePolicy:
    """Ask a fresh language model YES or NO: LTS-LLM (arXiv 2602.05965). An unusable reply rejects."""

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        return await _judge(request, ask, thread=())

    return RulePolicy("judge", choose)


def orchestrator_decides() -> RulePolicy:
    """Ask the team's own orchestrator, its whole thread before the question: LTS-Orchestrator (arXiv 2602.05965)."""

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        return await _judge(request, ask, thread=request.thread)

    return RulePolicy("orchestrator", choose)


def oracle(values: str = "right", listings: bool = False, repeats: bool = False, world_seed: int = 0) -> RulePolicy:
    """Admit values by their truth, which only the offline world can tell: an upper bound, not a rule to deploy.

    Args:
        values: right, any (right or wrong) or none.
        listings: admit search listings with a fitting page too.
        repeats: admit also what states no (need, part) that the bank lacks.
        world_seed: of the offline world that the tasks are from.
    """
    from lts_jax.admission.oracle import OracleChoice

    choice = OracleChoice(values, listings, repeats, world_seed)

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        return _CERTAIN_ADMIT if choice.admits(request) else _CERTAIN_REJECT

    return RulePolicy("oracle", choose)


RULES: dict[str, Callable[..., RulePolicy]] = {
    "none": admit_none,
    "all": admit_all,
    "random": admit_random,
    "recency": recency,
    "similarity": similarity,
    "judge": model_judge,
    "orchestrator": orchestrator_decides,
    "oracle": oracle,
}
"""Rules by the name that the command line uses. One line here is all that a new one needs."""

Rule = str | AdmissionPolicy | Callable[..., Any]
"""A text such as `similarity(threshold=0.6)`; a policy; a function of a request, or one that returns a policy."""


def rule_part(rule: str | Callable[..., Any], *, where: str = "policy") -> Part:
    """The part that a text names, or a function of your own as a part.

    Raises:
        UserError: one line that begins with `where`; see `lts_jax.parts.resolve`.
    """
    return (
        resolve(rule, RULES, where=where, supplied=("encoder",))
        if isinstance(rule, str)
        else function_part(rule, where=where)
    )


def make_rule(rule: Rule, encoder: TextEncoder, *, where: str = "policy") -> AdmissionPolicy:
    """The policy that a text, a function or a policy stands for, under the canonical text of the call.

    Args:
        rule: see `Rule`.
        encoder: given to a rule that takes one.
        where: the setting that holds it, for messages.

    Raises:
        UserError: one line: no such rule, a wrong setting, a function that gives no policy.
    """
    if not isinstance(rule, str) and hasattr(rule, "decide") and not isinstance(rule, type):
        return rule  # type: ignore[return-value]
    part = rule_part(rule, where=where)
    takes = parameters_of(part.function)
    given = {"encoder": encoder} if "encoder" in takes else {}
    free = [one for one in takes.values() if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    if [one.name for one in free if one.name != "encoder"]:
        choose = _by_function(partial(part, **given), f"{where}: {part.text}")
        try_out(choose, _SAMPLE, f"{where}: {part.text}")
        return RulePolicy(part.text, choose)
    try:
        policy = part(**given)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if isinstance(policy, RulePolicy):
        return replace(policy, name=part.text)
    if not hasattr(policy, "decide"):
        kind = type(policy).__name__
        raise UserError(f"{where}: {part.text} gives a value of type {kind}, expected a policy with `decide`")
    return policy


def _by_function(admits: Callable[[AdmissionRequest], Any], name: str) -> Callable[..., Awaitable[Admission]]:
    """The choice of a function that answers true or false, or with the probability of an admission."""

    async def choose(request: AdmissionRequest, ask: Ask) -> Admission:
        answer = admits(request)
        answer = await answer if isawaitable(answer) else answer
        if isinstance(answer, Admission):
            return answer
        if isinstance(answer, (bool, np.bool_)):
            return _CERTAIN_ADMIT if answer else _CERTAIN_REJECT
        if isinstance(answer, (int, float, np.number)) and 0.0 <= answer <= 1.0:
            return _draw(request, float(answer))
        raise UserError(f"{name}: expected true, false or a probability from 0 to 1, got {show(answer)}")

    return choose


_SAMPLE = AdmissionRequest(
    question="Which pond is the deepest?",
    keys=("The list of ponds stands on page two.",),
    step=Step(0, 1, "WebSurfer", "Open page two.", "visit_url", "Mill pond, 3 m", "Mill pond is 3 m deep.", 8.0, 20.0),
    coordinates=Coordinates(0, 0, "sample", 0),
    seconds=21.0,
)


def _draw(request: AdmissionRequest, rate: float) -> Admission:
    step = request.step
    draw = uniform(*rollout_coordinates(request.coordinates), step.team, step.step, "decide")
    action = ADMIT if draw >= 1.0 - rate else REJECT
    return Admission(action, math.log(rate if action == ADMIT else 1.0 - rate), rate)


def parse_verdict(reply: str) -> bool | None:
    """True for YES, False for NO, None where the reply says neither or both. Never raises."""
    said = {word.lower() for word in _VERDICT.findall(reply)}
    if len(said) != 1:
        return None
    return said == {"yes"}


async def _reject(request: AdmissionRequest, ask: Ask) -> Admission:
    return _CERTAIN_REJECT


async def _admit(request: AdmissionRequest, ask: Ask) -> Admission:
    return _CERTAIN_ADMIT


async def _judge(request: AdmissionRequest, ask: Ask, thread: Sequence[Message]) -> Admission:
    step = request.step
    question = judge_request(
        request.question, request.living_keys, step.instruction, step.summary, step.output[:MAX_JUDGED_CHARACTERS]
    )
    call = await ask("judge", [*thread, question])
    is_said = not call.error and not call.is_cut
    return _CERTAIN_ADMIT if is_said and parse_verdict(call.reply) else _CERTAIN_REJECT


def _cosines(texts: EncodedTexts, text: str, keys: Sequence[str]) -> np.ndarray:
    vector_nd = texts.encode([*keys, text]).astype(np.float64)
    length_n = np.linalg.norm(vector_nd, axis=1)
    unit_nd = vector_nd / np.where(length_n > 0.0, length_n, 1.0)[:, None]
    return unit_nd[:-1] @ unit_nd[-1]
