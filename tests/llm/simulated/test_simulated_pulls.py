"""What a team pulls adds to what it knows: nothing that it read or may still do is lost by it."""

from dataclasses import replace

import pytest

from lts_jax import prompts
from lts_jax.llm.simulated import PERFECT
from lts_jax.llm.simulated.findings import Finding, miss_sentence, results_sentence
from lts_jax.llm.simulated.thread import Survey

TRUSTING = replace(PERFECT, trusts_pulled=1.0)


@pytest.fixture
def listing(world):
    """The ledger of a question about one listing in two parts, and the need of it."""
    task = next(task for task in world[0].tasks if (task.family, task.difficulty) == ("house_price", "easy"))
    ledger = prompts.task_ledger(task.question, (), "facts", "plan")
    return ledger, Survey([ledger], PERFECT).needs()[0]


def part(need, number, value, updated="2025-03-04"):
    """A report sentence about one part of a listing of two."""
    address = "https://www.a.example/1" + ("" if number == 1 else f"/page-{number}")
    return str(Finding(need, value, number, 2, updated, address))


def own(need, *reports):
    told = prompts.instruction("WebSurfer", f"Open the best page not read so far to find {need}.")
    return [message for each in reports for message in (told, prompts.agent_reply("WebSurfer", each))]


def pulled(report, key="WebSurfer found a value"):
    return prompts.value_message(0, key, report)


@pytest.mark.parametrize("settings", [PERFECT, TRUSTING])
@pytest.mark.parametrize("own_part", [1, 2])
def test_a_pulled_part_of_a_listing_leaves_the_teams_own_parts(listing, settings, own_part):
    ledger, need = listing
    mine, theirs = part(need, own_part, f"row {own_part}"), part(need, 3 - own_part, f"row {3 - own_part}")
    for thread in ([*own(need, mine), pulled(theirs)], [pulled(theirs), *own(need, mine)]):
        survey = Survey([ledger, *thread], settings)
        held = survey.value_in_hand(need)
        assert (held.value, held.complete) == ("row 1; row 2", True)
        assert survey.next_action(need) is None


def test_a_team_that_trusts_what_it_pulled_prefers_it_part_by_part(listing):
    ledger, need = listing
    thread = [*own(need, part(need, 1, "mine 1"), part(need, 2, "mine 2")), pulled(part(need, 2, "theirs 2"))]
    assert Survey([ledger, *thread], TRUSTING).value_in_hand(need).value == "mine 1; theirs 2"
    assert Survey([ledger, *thread], PERFECT).value_in_hand(need).value == "mine 1; mine 2"


def test_own_parts_of_another_date_are_not_mixed_in(listing):
    ledger, need = listing
    thread = [*own(need, part(need, 1, "new")), pulled(part(need, 2, "old", "2021-03-04"))]
    held = Survey([ledger, *thread], TRUSTING).value_in_hand(need)
    assert (held.value, held.complete, held.missing_part) == ("old", False, 1)


def test_searches_of_others_that_found_nothing_use_up_none_of_the_teams_own(listing):
    ledger, need = listing
    vain = [pulled(results_sentence(need, [])), pulled(results_sentence(need, [("Another page", "https://b.example")]))]
    survey = Survey([ledger, *vain, *vain], PERFECT)
    assert survey.next_action(need) == Survey([ledger], PERFECT).next_action(need)
    assert survey.next_action(need).kind == "search"


def test_a_listing_of_another_team_saves_the_search(listing):
    ledger, need = listing
    title = Survey([ledger], PERFECT).view.understanding.title(need)
    survey = Survey([ledger, pulled(results_sentence(need, [(title, "https://b.example")]))], PERFECT)
    assert (survey.next_action(need).kind, survey.next_action(need).target) == ("visit", "https://b.example")


@pytest.mark.parametrize("extent", ["seen in full", 'searched for "a text"'])
def test_a_page_that_gave_another_team_nothing_may_still_be_read(listing, extent):
    ledger, need = listing
    title = Survey([ledger], PERFECT).view.understanding.title(need)
    listed = own(need, results_sentence(need, [(title, "https://b.example")]))
    miss = pulled(miss_sentence(need, "https://b.example", extent), f"WebSurfer read a page for {need}, which did not")
    survey = Survey([ledger, *listed, miss], PERFECT)
    assert (survey.next_action(need).kind, survey.next_action(need).target) == ("visit", "https://b.example")
    assert Survey([ledger, *listed, miss], TRUSTING).next_action(need) is None


def test_failures_of_others_do_not_make_a_team_give_up(listing):
    ledger, need = listing
    resigned = replace(PERFECT, gives_up=1.0)
    vain = [pulled(results_sentence(need, [])), pulled(miss_sentence(need, "https://b.example", "seen in full"))]
    assert Survey([ledger, *vain], resigned).next_action(need) is not None
    assert Survey([ledger, *own(need, *[results_sentence(need, [])] * 2)], resigned).next_action(need) is None
