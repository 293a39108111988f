"""An endpoint that fails as a whole stops a collection and leaves nothing; a call that fails alone does not."""

import math

import pytest

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.chat import FailureKind, ModelFailure
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import ModelCall, StopReason
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.failed_calls import NUM_FIRST, FirstCalls, common_failure, reasons
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

SETTINGS = RolloutSettings(2, TeamSettings(max_rounds=3))
TASKS = almanac_tasks(0, "train", 2)


class Failing:
    """Every call fails in one way."""

    name = "failing"

    def __init__(self, kind):
        self.kind, self.num_asked = kind, 0

    async def complete(self, messages, *, seed, json_reply=False):
        self.num_asked += 1
        raise ModelFailure("it says no", kind=self.kind)


def collect(model, folder, tasks=TASKS, num_in_flight=2):
    parts = RolloutParts(model, almanac_tools(0), RULES["all"]())
    collecting = CollectSettings(num_rollouts=1, num_in_flight=num_in_flight)
    return collect_groups(tasks, parts, SETTINGS, collecting, Iteration(0, 0), folder)


@pytest.mark.parametrize("kind", ["key_refused", "not_found", "connection", "quota", "redirect"])
def test_a_dead_endpoint_stops_the_collection_and_stores_nothing(tmp_path, kind):
    with pytest.raises(
        UserError, match=r"it says no: .*; nothing of this rollout is stored, and the same command goes on"
    ):
        collect(Failing(FailureKind(kind)), tmp_path)
    assert list(tmp_path.rglob("*.parquet")) == []
    groups = collect(SimulatedModel(), tmp_path)  # mended
    assert all(rollout.tokens > 0 for group in groups for rollout in group.rollouts)
    assert len(list(tmp_path.rglob("*.parquet"))) == len(TASKS)


def test_a_dead_endpoint_is_asked_once_by_a_rollout(tmp_path):
    model = Failing(FailureKind.QUOTA)
    with pytest.raises(UserError):
        collect(model, tmp_path, TASKS[:1])
    assert model.num_asked <= SETTINGS.num_teams


@pytest.mark.parametrize("kind", ["request_refused", "server_error", "no_text", "held_back"])
def test_an_endpoint_that_fails_every_call_is_told_with_its_reason(tmp_path, kind):
    model = Failing(FailureKind(kind))
    with pytest.raises(UserError, match=r"^it says no.* calls of 2 rollouts failed; nothing of them is stored"):
        collect(model, tmp_path)
    assert model.num_asked <= len(TASKS) * (NUM_FIRST + SETTINGS.num_teams)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_few_refused_rollouts_are_enough_to_stop(tmp_path):
    model = Failing(FailureKind.REQUEST_REFUSED)
    with pytest.raises(UserError, match="of 3 rollouts failed"):
        collect(model, tmp_path, almanac_tasks(0, "train", 8), num_in_flight=1)


class Moody(SimulatedModel):
    """Refuses every call about one question."""

    def __init__(self, question, kind=FailureKind.HELD_BACK):
        super().__init__()
        self.question, self.kind = question, kind

    async def complete(self, messages, *, seed, json_reply=False):
        if any(self.question in message.content for message in messages):
            raise ModelFailure(f"flagged in {seed}", kind=self.kind)
        return await super().complete(messages, seed=seed, json_reply=json_reply)


def test_one_refused_task_among_others_is_stored_without_a_score(tmp_path):
    groups = collect(Moody(TASKS[0].question), tmp_path)
    refused, worked = (group.rollouts[0] for group in groups)
    assert math.isnan(refused.reward_agg) and math.isnan(refused.reward_first) and math.isfinite(worked.reward_agg)
    assert refused.outcome.detail.startswith("the endpoint failed: flagged in ")
    assert {answer.stop_reason for answer in refused.answers} == {StopReason.MODEL_ERROR}
    assert len(list(tmp_path.rglob("*.parquet"))) == 2


def test_a_task_that_is_always_held_back_does_not_keep_a_restart_from_its_end(tmp_path):
    collect(SimulatedModel(), tmp_path, TASKS[1:])
    groups = collect(Moody(TASKS[0].question), tmp_path)
    assert [math.isnan(group.rollouts[0].reward_agg) for group in groups] == [True, False]
    with pytest.raises(UserError, match="flagged"):  # it may be the endpoint, and nothing works beside it
        collect(Moody(TASKS[0].question, FailureKind.REQUEST_REFUSED), tmp_path / "other", TASKS[:1])


def call(error=""):
    return ModelCall("act", "", 1, 1, error=error)


def test_reasons_are_counted_by_what_they_say_and_not_by_their_numbers():
    calls = [
        call("model (rate_limit): m at h: HTTP 429: wait 3 s (attempts: 6)"),
        call("model (rate_limit): m at h: HTTP 429: wait 11 s (attempts: 2)"),
        call("model (server_error): m at h: HTTP 500: request req-7f3a2 failed"),
        call("budget: 5 of 5 tokens are used"),
        call(),
    ]
    found = reasons(calls)
    assert [(reason.kind, reason.text, reason.num_calls) for reason in found] == [
        ("rate_limit", "m at h: HTTP 429: wait 3 s", 2),
        ("server_error", "m at h: HTTP 500: request req-7f3a2 failed", 1),
    ]
    assert found[0].told() == "m at h: HTTP 429: wait 3 s: lower --model.max-in-flight, or wait"
    assert common_failure(calls) is None
    assert common_failure(calls[:3]) == found[0]
    assert common_failure(calls[:2] + [call()] * 2) is None  # half is not most
    assert reasons([call("gone"), call("model: gone")])[0].num_calls == 2  # of older records


def test_first_calls_give_up_when_all_fail_alike_and_only_then():
    alike, mixed = FirstCalls(), FirstCalls()
    for number in range(NUM_FIRST):
        assert alike.verdict == ""
        alike.note(f"model (no_text): reply {number} is empty")
        mixed.note("model (no_text): empty" if number else "")
    assert alike.verdict == "refused (no_text): reply 7 is empty"
    assert mixed.verdict == ""
    for _ in range(20):
        mixed.note("model (no_text): empty")
    assert mixed.verdict == ""
