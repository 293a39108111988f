"""The simulated model understands every question of the offline world, and the right things in it."""

import pytest

from lts_jax.llm.simulated.comprehension import understand
from lts_jax.llm.simulated.understanding import Need, items, join_items, names, weighted_sum


def test_every_question_of_the_offline_world_is_understood(world):
    questions = [task.question for task in world[0].tasks]
    assert len(questions) >= 1000
    assert [question for question in questions if not understand(question).readings] == []


def test_no_need_breaks_the_sentences_in_which_it_is_reported(world):
    for task in world[0].tasks:
        for need in understand(task.question).needs:
            assert " of " not in need.attribute
            assert ":" not in f"{need.attribute}{need.subject}"
            assert need.subject in task.question or need.subject.rpartition(" ")[0] in task.question


def test_tickets_are_worked_out_by_hand():
    question = (
        "We are 2 adults and 3 children and want to visit Amber Owl Zoo and Red Hen Mill once each. "
        "What is the total of the current ticket prices, in dollars?"
    )
    understood = understand(question)
    zoo, mill = Need("ticket prices", "Amber Owl Zoo"), Need("ticket prices", "Red Hen Mill")
    assert understood.needs == (zoo, mill)
    concluded = understood.conclude({zoo: "adult $12.50; child $7.00", mill: "adult $8.00; child $4.00"})
    assert concluded.text == "74.00"  # 2 x 12.50 + 3 x 7 + 2 x 8 + 3 x 4
    assert eval(concluded.expression) == 74.0


def test_a_journey_catches_the_first_train_after_each_change():
    question = (
        "Using the latest timetables: I board the first train of the Red Line leaving A Quay at or after 06:20, "
        "change at B Cross to the next train of the Blue Line. Minimum change times of the stations are respected. "
        "When (HH:MM, 24-hour clock) do I get to C Halt?"
    )
    understood = understand(question)
    first, wait, second = understood.needs
    assert first == Need("train times from A Quay to B Cross", "Red Line")
    assert wait == Need("minimum change time", "B Cross")
    assert understood.title(second) == "Blue Line timetable"
    values = {first: "06:10-07:00; 06:25-07:15", wait: "10 minutes", second: "07:20-08:00; 07:25-08:05"}
    assert understood.conclude(values).text == "08:05"  # 07:15 + 10 minutes is 07:25
    late = {**values, wait: "11 minutes"}
    with pytest.raises(ValueError, match=r"min\(\)|empty"):
        understood.conclude(late)


def test_a_listing_names_further_needs():
    understood = understand(
        "Which of the 2025 exhibitions at Sunken Elm Art House runs for the fewest days, according to the latest pages?"
    )
    assert understood.source == Need("exhibitions", "Sunken Elm Art House")
    assert understood.title(understood.source) == "Exhibitions 2025 at Sunken Elm Art House"
    more = understood.expand("Red Visions; Blue Mosaics")
    assert more == (Need("opening dates", "Red Visions"), Need("opening dates", "Blue Mosaics"))
    values = {more[0]: "3 March 2025 to 5 April 2025", more[1]: "28 February 2025 to 3 March 2025"}
    assert understood.conclude(values).text == "Blue Mosaics"


def test_an_unknown_question_becomes_one_need_that_nothing_satisfies():
    understood = understand("Who wrote: the longest letter of 1823?")
    assert not understand("Who wrote: the longest letter of 1823?").readings
    (need,) = understood.needs
    assert ":" not in need.subject
    with pytest.raises(ValueError, match="nothing follows"):
        understood.conclude({need: "anything"})


@pytest.mark.parametrize(
    ("text", "expected"), [("A", ["A"]), ("A and B", ["A", "B"]), ("A x, B and C", ["A x", "B", "C"])]
)
def test_names_in_a_sentence(text, expected):
    assert names(text) == expected


@pytest.mark.parametrize("parts", [[], ["A"], ["A", "B 2"]])
def test_items_invert_joined(parts):
    assert items(join_items(parts)) == parts


def test_weighted_sum_by_hand():
    concluded = weighted_sum([(2.0, 12.5), (1.0, 7.0)], digits=2, scale=0.5)
    assert concluded.text == "16.00"
    assert concluded.expression == "round((2 * 12.5 + 7) * 0.5, 2)"
    with pytest.raises(ValueError, match="nothing to add"):
        weighted_sum([])
