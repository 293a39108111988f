"""The named sets of weaknesses: one setting chooses a set, and may change single weaknesses of it."""

import asyncio
from dataclasses import fields, replace

import pytest

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.simulated import COMMISSION, OMISSION, SMALL, SimulatedModelSettings, make_weaknesses
from lts_jax.llm.simulated.settings import SimulatedModelSettings as Settings
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model


def test_a_text_names_a_set_and_changes_single_weaknesses():
    assert make_weaknesses("commission") == COMMISSION
    assert make_weaknesses("omission") == OMISSION
    assert make_weaknesses("small") == SMALL
    assert make_weaknesses("commission(misreads=0.3, fresh_steps=9)") == replace(
        COMMISSION, misreads=0.3, fresh_steps=9
    )
    assert make_weaknesses("omission(misreads=0)") == replace(OMISSION, misreads=0)


def test_the_sets_differ_in_what_is_misread_and_what_is_missed_alone():
    differing = {
        each.name for each in fields(Settings) if getattr(COMMISSION, each.name) != getattr(OMISSION, each.name)
    }
    assert differing == {"common_mistakes", "follows_stale_page", "misreads", "overlooks_value", "gives_up"}
    assert OMISSION.misreads < COMMISSION.misreads and OMISSION.follows_stale_page < COMMISSION.follows_stale_page
    assert OMISSION.overlooks_value > COMMISSION.overlooks_value and OMISSION.gives_up > COMMISSION.gives_up


def test_the_default_of_the_model_is_the_default_set():
    assert (
        make_weaknesses(ModelSettings().weaknesses) == SimulatedModelSettings() == make_model(ModelSettings()).settings
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("omision", r"model\.weaknesses: .*did you mean omission"),
        ("omission(mistakes=0.1)", r"model\.weaknesses: omission has no setting 'mistakes'"),
        ("omission(misreads=1.5)", r"model\.weaknesses: omission: misreads: expected in \[0, 1\], got 1\.5"),
        ("omission(misreads=often)", r"model\.weaknesses: omission\(misreads\): expected a number"),
        ("lts_jax.seeds:uniform", r"model\.weaknesses: .*expected SimulatedModelSettings"),
    ],
)
def test_what_names_no_weaknesses_is_one_line(text, problem):
    with pytest.raises(UserError, match=problem) as raised:
        ModelSettings(weaknesses=text)
    assert "\n" not in str(raised.value)


def test_equal_weaknesses_are_one_setting():
    assert ModelSettings(weaknesses="omission( misreads = .1 )") == ModelSettings(weaknesses="omission(misreads=0.10)")


def test_the_set_reaches_the_teams():
    """Teams that overlook every value find none; the same teams with other weaknesses do."""
    task = almanac_tasks(0, "train", 1)[0]

    def findings(weaknesses):
        parts = RolloutParts(make_model(ModelSettings(weaknesses=weaknesses)), almanac_tools(0), RULES["none"]())
        place = Coordinates(0, 0, task.task_id, 0)
        rollout = asyncio.run(run_rollout(task, place, parts, RolloutSettings(num_teams=1)))
        return sum("updated 20" in call.reply for call in rollout.calls if call.purpose == "report")

    assert findings("omission(overlooks_value=1, hallucinates=0)") == 0
    assert findings("commission(overlooks_value=0)") > 0


def rollouts_of(weaknesses, num_tasks=12):
    """One team on some tasks."""
    found = []
    for task in almanac_tasks(0, "train", num_tasks):
        parts = RolloutParts(make_model(ModelSettings(weaknesses=weaknesses)), almanac_tools(0), RULES["all"]())
        place = Coordinates(0, 0, task.task_id, 0)
        found.append(asyncio.run(run_rollout(task, place, parts, RolloutSettings(num_teams=1))))
    return found


def test_a_small_model_stops_before_it_has_done_anything_and_repeats_itself():
    """As often as SmolLM2-135M-Instruct was seen to, with room for a few draws."""
    found = rollouts_of("small")
    calls = [call for one in found for call in one.calls]
    at_once = [len(one.steps) == 0 for one in found]
    assert 0.4 <= sum(at_once) / len(at_once) <= 1.0
    answers = [call for call in calls if call.purpose == "answer"]
    cut = [call for call in answers if call.is_cut]
    assert 0.0 < len(cut) / len(answers) <= 0.6
    for call in cut:
        lines = call.reply.splitlines()
        assert len(call.reply) == 1280 and lines[-2] == lines[-3] and lines[-2].startswith(lines[-1])
    assert not any(call.is_cut for call in calls if call.purpose not in ("answer", "facts"))
    summaries = [call.reply for call in calls if call.purpose == "summarize"]
    assert summaries and all("was asked to find" in summary for summary in summaries)


def test_weaknesses_of_small_models_at_0_shift_no_draw():
    """A set with them at 0 is the set without them; each of them alone changes what it is about, and no more."""
    plain = rollouts_of("omission", 2)
    assert rollouts_of("omission(stops_at_once=0, repeats_itself=0, restates_request=0)", 2) == plain
    again = rollouts_of("omission(restates_request=1)", 2)
    for one, other in zip(plain, again, strict=True):
        assert [step.output for step in one.steps] == [step.output for step in other.steps]
        assert [step.summary for step in one.steps] != [step.summary for step in other.steps]
