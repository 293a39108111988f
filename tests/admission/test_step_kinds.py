"""Kinds of steps, on pages of the real offline world: what teams would have said, judged by the newest page."""

import pytest
from offline_steps import FAILED, FOUND_RIGHT, FOUND_STALE, LISTED, LISTED_OTHERS, PRINTED, TASKS, TICKETS, step

from lts_jax.admission.offline_truth import truth_of
from lts_jax.admission.step_kinds import LISTING, NOTHING, PROGRAM, RIGHT, WRONG, StepLabel, label_decisions, read_step
from lts_jax.llm.simulated.understanding import Need
from lts_jax.records import Answer, Coordinates, Decision, MemoryEntry, Outcome, Rollout, StopReason
from lts_jax.tasks.almanac import build_almanac
from lts_jax.tasks.scoring import score_answer


@pytest.mark.parametrize(
    ("output", "agent", "kind"),
    [
        (FOUND_RIGHT, "WebSurfer", RIGHT),
        (FOUND_STALE, "WebSurfer", WRONG),
        (FOUND_RIGHT.partition("\n")[0] + " " + FOUND_STALE, "WebSurfer", WRONG),  # mixed
        (LISTED, "WebSurfer", LISTING),
        (LISTED_OTHERS, "WebSurfer", NOTHING),
        (FAILED, "WebSurfer", NOTHING),
        (FOUND_RIGHT.replace("Humble Wren Aquarium", "Rolling Lily Aquarium"), "WebSurfer", NOTHING),  # not asked for
        (PRINTED, "Coder", PROGRAM),
        ("165", "ComputerTerminal", PROGRAM),
    ],
)
def test_a_step_is_of_the_kind_that_its_words_and_the_newest_page_say(output, agent, kind):
    assert read_step(step(output, agent=agent), truth_of(TICKETS.question)).kind == kind


def test_the_truth_of_a_listing_has_its_parts_and_of_a_file_what_follows_from_it():
    events = truth_of(TASKS["almanac-event_list-000"].question)
    (need,) = events.values
    assert events.values[need] == {1: "Sandy Sparrow Evening", 2: "Violet Goose Evening"}
    assert events.whole(need) == "Sandy Sparrow Evening; Violet Goose Evening"
    wards = truth_of(TASKS["almanac-district_turnout-000"].question)
    assert wards.values[Need("voters and votes", "Emerald Jackdaw Ward")] == {1: "6,935 voters; 2,406 votes"}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_what_is_true_of_every_question_gives_its_stored_answer(split):
    for task in build_almanac(0).tasks_of(split):
        truth = truth_of(task.question)
        concluded = truth.understanding.conclude({need: truth.whole(need) or "" for need in truth.values})
        assert score_answer(task, concluded.text).score == 1.0, task.task_id


def test_a_question_of_nowhere_has_no_truth():
    assert not any(truth_of("Which pond is the deepest?").values.values())


def made_rollout(outputs, admitted, num_keys):
    """One team's steps, those of `admitted` stored; `num_keys`: entries committed before each decision."""
    steps = tuple(step(output, number=number) for number, output in enumerate(outputs))
    entries = tuple(MemoryEntry(entry, "key", "value", 0, number, 0.0) for entry, number in enumerate(admitted))
    decisions = tuple(
        Decision(0, number, int(number in admitted), 0.0, 0.5, keys, number, 0.0)
        for number, keys in enumerate(num_keys)
    )
    final, none = Answer(-1, "", 0.0, StopReason.SATISFIED), Outcome(0.0, False)
    place = Coordinates(0, 0, TICKETS.task_id, 0)
    return Rollout(TICKETS, place, 1, steps, decisions, entries, (), (), final, none, none, 0.0, 0.0, 0.0)


def test_a_repeat_is_about_what_a_committed_entry_is_about():
    outputs = (FOUND_RIGHT, FOUND_RIGHT, FOUND_RIGHT, FOUND_STALE, LISTED, LISTED, FOUND_RIGHT.replace("$5", "$6"))
    # The first value is admitted, and committed before the third step but not yet before the second; a listing is not a
    # value, so that both listings are new as none was admitted; another value for a need that is stored is a repeat.
    rollout = made_rollout(outputs, admitted=(0,), num_keys=(0, 0, 1, 1, 1, 1, 1))
    assert label_decisions(rollout) == (
        StepLabel(RIGHT, True),
        StepLabel(RIGHT, True),
        StepLabel(RIGHT, False),
        StepLabel(WRONG, True),
        StepLabel(LISTING, True),
        StepLabel(LISTING, True),
        StepLabel(WRONG, False),
    )


def test_a_listing_for_the_same_need_is_a_repeat():
    rollout = made_rollout((LISTED, LISTED, LISTED_OTHERS), admitted=(0,), num_keys=(0, 1, 1))
    expected = (StepLabel(LISTING, True), StepLabel(LISTING, False), StepLabel(NOTHING, True))
    assert label_decisions(rollout) == expected
