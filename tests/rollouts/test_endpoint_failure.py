"""An endpoint that fails as a whole stops a collection and leaves nothing; a call that fails alone does not."""

import pytest

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.chat import FailureKind, ModelFailure
from lts_jax.llm.simulated import SimulatedModel
from lts_jax.records import StopReason
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

SETTINGS = RolloutSettings(2, TeamSettings(max_rounds=3))
TASKS = almanac_tasks(0, "train", 2)


class Failing:
    """Every call fails in one way."""

    name = "failing"

    def __init__(self, kind):
        self.kind = kind

    async def complete(self, messages, *, seed, json_reply=False):
        raise ModelFailure("it says no", kind=self.kind)


def collect(model, folder):
    parts = RolloutParts(model, almanac_tools(0), RULES["all"]())
    collecting = CollectSettings(num_rollouts=1, num_in_flight=2)
    return collect_groups(TASKS, parts, SETTINGS, collecting, Iteration(0, 0), folder)


@pytest.mark.parametrize("kind", ["key_refused", "not_found", "connection", "quota", "redirect"])
def test_a_dead_endpoint_stops_the_collection_and_stores_nothing(tmp_path, kind):
    with pytest.raises(UserError, match="it says no; nothing of this rollout is stored, and the same command goes on"):
        collect(Failing(FailureKind(kind)), tmp_path)
    assert list(tmp_path.rglob("*.parquet")) == []
    groups = collect(SimulatedModel(), tmp_path)  # mended
    assert all(rollout.tokens > 0 for group in groups for rollout in group.rollouts)
    assert len(list(tmp_path.rglob("*.parquet"))) == len(TASKS)


def test_calls_that_fail_for_what_was_asked_are_part_of_the_record(tmp_path):
    groups = collect(Failing(FailureKind.REQUEST_REFUSED), tmp_path)
    reasons = {answer.stop_reason for group in groups for rollout in group.rollouts for answer in rollout.answers}
    assert reasons == {StopReason.MODEL_ERROR}
    assert len(list(tmp_path.rglob("*.parquet"))) == len(TASKS)
