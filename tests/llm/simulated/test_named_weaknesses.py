"""The named sets of weaknesses: one setting chooses a set, and may change single weaknesses of it."""

import asyncio
from dataclasses import fields, replace

import pytest

from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.simulated import COMMISSION, OMISSION, SimulatedModelSettings, make_weaknesses
from lts_jax.llm.simulated.settings import SimulatedModelSettings as Settings
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings, run_rollout
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model


def test_a_text_names_a_set_and_changes_single_weaknesses():
    assert make_weaknesses("commission") == COMMISSION
    assert make_weaknesses("omission") == OMISSION
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
