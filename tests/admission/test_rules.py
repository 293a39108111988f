"""Admission without learning, case by case."""

import ast
import asyncio
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import lts_jax.admission.rules as rules_module
from lts_jax.admission.policy import Admission, AdmissionRequest
from lts_jax.admission.rules import (
    RULES,
    RulePolicy,
    admit_all,
    admit_none,
    admit_random,
    make_rule,
    model_judge,
    orchestrator_decides,
    parse_verdict,
    recency,
    similarity,
)
from lts_jax.errors import UserError
from lts_jax.records import Coordinates, Message, ModelCall, Step
from lts_jax.seeds import uniform

ADMITTED, REJECTED = Admission(1, 0.0, 1.0), Admission(0, 0.0, 0.0)
THREAD = (Message("user", "task ledger", "Orchestrator"), Message("assistant", "WebSurfer: go", "Orchestrator"))


class CompassEncoder:
    """Summaries are angles in degrees: f32[n, 2]; any other text is a zero vector."""

    dim, name = 2, "compass"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [self._row(text) for text in texts]
        return np.array(rows, np.float32).reshape(-1, 2)

    def _row(self, text: str) -> tuple[float, float]:
        if not text.isdigit():
            return 0.0, 0.0
        return 3.0 * math.cos(math.radians(int(text))), 3.0 * math.sin(math.radians(int(text)))


def request_of(summary: str = "sum", keys: Sequence[str] = (), step: int = 0) -> AdmissionRequest:
    done = Step(1, step, "WebSurfer", "look up", "", "x" * 3000, summary=summary)
    return AdmissionRequest("what?", keys, done, Coordinates(5, 2, "task", 3), 0.0, THREAD)


class ScriptedModel:
    """An `Ask` with one reply; keeps what it was asked."""

    def __init__(self, reply: str, error: str = "") -> None:
        self.reply, self.error = reply, error
        self.purposes: list[str] = []
        self.messages: list[Message] = []

    async def __call__(self, purpose: str, messages: Sequence[Message]) -> ModelCall:
        self.purposes.append(purpose)
        self.messages = list(messages)
        return ModelCall(purpose, self.reply, 1, 1, error=self.error)


def decide(rule: RulePolicy, request: AdmissionRequest, model: ScriptedModel | None = None) -> Admission:
    return asyncio.run(rule.decide(request, model or ScriptedModel("")))


def test_none_shares_nothing_and_all_shares_everything() -> None:
    assert decide(admit_none(), request_of()) == REJECTED
    assert admit_none().listing_window == 0
    assert decide(admit_all(), request_of()) == ADMITTED
    assert admit_all().listing_window is None


def test_recency_admits_all_and_lists_the_newest() -> None:
    assert decide(recency(7), request_of()) == ADMITTED
    assert (recency(7).name, recency(7).listing_window) == ("recency(window=7)", 7)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        recency(0)


def test_random_follows_the_coordinates_at_the_given_rate() -> None:
    rule = admit_random(0.3)
    actions = []
    for step in range(400):
        admission = decide(rule, request_of(step=step))
        draw = uniform(5, 2, "task", 3, 1, step, "decide")
        assert admission.action == (1 if draw >= 0.7 else 0)
        assert admission.log_prob == pytest.approx(math.log(0.3 if admission.action else 0.7))
        assert admission.admit_probability == 0.3
        actions.append(admission.action)
    assert 0.23 < np.mean(actions) < 0.37  # three standard errors


def test_random_at_the_ends_is_none_and_all() -> None:
    assert decide(admit_random(0.0), request_of()) == Admission(0, 0.0, 0.0)
    assert decide(admit_random(1.0), request_of()) == Admission(1, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1.5"):
        admit_random(1.5)


@pytest.mark.parametrize(
    ("summary", "keys", "expected"),
    [
        ("0", [], ADMITTED),
        ("0", ["90", "55"], ADMITTED),  # cos 55 = .574
        ("0", ["90", "30"], REJECTED),  # cos 30 = .866
        ("0", ["180"], ADMITTED),
        ("0", ["0"], REJECTED),
        ("nothing", ["nothing"], ADMITTED),  # no features, no similarity
    ],
)
def test_similarity_rejects_near_repeats(summary: str, keys: list[str], expected: Admission) -> None:
    assert decide(similarity(CompassEncoder(), threshold=0.8), request_of(summary, keys)) == expected


def test_similarity_threshold_is_strict_and_checked() -> None:
    assert decide(similarity(CompassEncoder(), threshold=1.0), request_of("0", ["1"])) == ADMITTED
    assert decide(similarity(CompassEncoder(), threshold=-1.0), request_of("0", ["180"])) == REJECTED
    with pytest.raises(ValueError, match=r"cosine in \[-1, 1\]"):
        similarity(CompassEncoder(), threshold=2.0)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("YES", True),
        (" yes.", True),
        ("**No**", False),
        ("NO, it is already stored.", False),
        ("Yes or no?", None),
        ("", None),
        ("I know nothing", None),
        ("maybe\x00", None),
    ],
)
def test_verdicts(reply: str, verdict: bool | None) -> None:
    assert parse_verdict(reply) is verdict
    assert decide(model_judge(), request_of(), ScriptedModel(reply)) == (ADMITTED if verdict else REJECTED)


def test_a_failed_judge_rejects() -> None:
    assert decide(model_judge(), request_of(), ScriptedModel("YES", error="model: gone")) == REJECTED


def test_the_judge_sees_the_step_and_the_orchestrator_its_thread_too() -> None:
    fresh, own = ScriptedModel("YES"), ScriptedModel("YES")
    decide(model_judge(), request_of("the summary", ["a key"]), fresh)
    decide(orchestrator_decides(), request_of("the summary", ["a key"]), own)
    assert (fresh.purposes, own.purposes) == (["judge"], ["judge"])
    assert len(fresh.messages) == 1
    assert tuple(own.messages[:-1]) == THREAD
    assert own.messages[-1] == fresh.messages[0]
    asked = fresh.messages[0].content
    assert all(text in asked for text in ("what?", "a key", "look up", "the summary", "x" * 2500))
    assert "x" * 2501 not in asked


def test_rules_by_name() -> None:
    assert list(RULES) == ["none", "all", "random", "recency", "similarity", "judge", "orchestrator", "oracle"]
    names = [RULES[name]().name for name in RULES if name != "similarity"]
    assert names == ["none", "all", "random(rate=0.5)", "recency(window=10)", "judge", "orchestrator", "oracle"]


def test_rules_need_no_jax() -> None:
    tree = ast.parse(Path(rules_module.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.split(".")[0] in {"jax", "flax", "optax"} or "decide" in name}


def by_length(request, *, max_words: int = 3):
    return len(request.step.summary.split()) <= max_words


def unsure(request):
    return 0.25


def test_a_function_of_a_request_is_a_rule_under_its_own_name() -> None:
    rule = make_rule(partial(by_length, max_words=2), CompassEncoder())
    assert rule.name == f"{__name__}:by_length(max_words=2)"
    assert decide(rule, request_of("two words", [])) == ADMITTED
    assert decide(rule, request_of("now three words", [])) == REJECTED
    assert decide(make_rule(unsure, CompassEncoder()), request_of()) == decide(admit_random(0.25), request_of())


def test_a_text_names_a_rule_and_its_settings_name_the_policy() -> None:
    rule = make_rule("recency( window = 7 )", CompassEncoder())
    assert (rule.name, rule.listing_window) == ("recency(window=7)", 7)
    assert make_rule(rule, CompassEncoder()) is rule
    assert make_rule("similarity", CompassEncoder()).name == "similarity"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (lambda request: 1 / 0, "trying it raises ZeroDivisionError"),
        (lambda request: "yes", r"expected true, false or a probability from 0 to 1, got 'yes'"),
        (lambda request: 1.5, r"expected true, false or a probability from 0 to 1, got 1\.5"),
        (lambda: 3, "gives a value of type int, expected a policy with `decide`"),
        ("random(rate=2)", r"policy: random\(rate\): expected a probability in \[0, 1\], got 2"),
        ("recent", r"policy: expected a name, .* got 'recent' \(did you mean recency or oracle\?\)"),
        (7, "policy: expected a text or a function, got 7"),
    ],
)
def test_a_rule_that_does_not_serve_is_refused_before_it_ends_a_team(rule, complaint) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        make_rule(rule, CompassEncoder())
    assert "\n" not in str(caught.value)
