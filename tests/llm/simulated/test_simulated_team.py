"""A team of a flawless simulated model solves every kind of question, from what stands in its messages alone."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.llm.simulated.findings import read_note, scan
from lts_jax.llm.simulated.understanding import items
from lts_jax.prompts import OPENINGS
from lts_jax.tasks.scoring.assistantbench import score

_NUMBER = re.compile(r"\d[\d,.:]*\d|\d")


def chosen(tasks, per_kind):
    """The first tasks of every family and difficulty."""
    kinds = {}
    for task in tasks:
        kinds.setdefault((task.family, task.difficulty), []).append(task)
    return [task for each in kinds.values() for task in each[:per_kind]]


def test_a_flawless_model_scores_one_on_every_family_and_difficulty(world, hand_team):
    tasks = chosen(world[0].tasks, 3)
    assert len({task.family for task in tasks}) >= 12
    assert len(tasks) >= 60
    scores = {}
    for seed, task in enumerate(tasks):
        team = hand_team(task, SimulatedModel(PERFECT), seed)
        scores[task.task_id] = score(team.run(), task.answer).score
    assert {name: each for name, each in scores.items() if each < 1.0} == {}


def test_reports_hold_only_values_that_stand_in_the_result(world, hand_team):
    checked = 0
    for task in chosen(world[0].tasks, 1):
        team = hand_team(task, SimulatedModel(PERFECT))
        team.run()
        for messages, reply in team.calls:
            request = messages[-1].content
            if not request.startswith(OPENINGS["report"]):
                continue
            for finding in read_note(reply).findings:
                for item in items(finding.value):
                    numbers = _NUMBER.findall(item)
                    assert all(number in request for number in numbers) or finding.value == "0"
                    checked += len(numbers)
    assert checked > 200


def test_nothing_is_found_that_no_tool_returned(world, hand_team):
    task = next(task for task in world[0].tasks if task.family == "ticket_total" and task.difficulty == "easy")
    team = hand_team(task, SimulatedModel(PERFECT))
    answer = team.run()
    for messages, reply in team.calls:
        known = any(scan(message.content).findings for message in messages)
        is_answer = messages[-1].content.startswith(OPENINGS["answer"])
        assert is_answer == (f"FINAL ANSWER: {answer}" in reply)
        if not known and not messages[-1].content.startswith(OPENINGS["report"]):
            assert scan(reply).findings == ()


def test_teams_differ_by_their_seed(world, hand_team):
    task = next(task for task in world[0].tasks if task.family == "league_total" and task.difficulty == "hard")
    orders = {tuple(team.tool_calls[0][1].items()) for team in _ran(task, hand_team, range(6))}
    assert len(orders) > 1


def test_what_is_kept_between_calls_changes_no_reply(world, hand_team):
    for task in chosen(world[0].tasks, 1)[::6]:
        model = SimulatedModel()
        team = hand_team(task, model)
        team.run()
        replies = [(messages, reply, number) for number, (messages, reply) in enumerate(team.calls)]
        for messages, reply, number in reversed(replies):
            assert model.reply(messages, number) == reply


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_spoilt_chats_are_answered_too(broken_chats, random):
    messages = list(random.choice(broken_chats))
    for _ in range(random.randrange(1, 4)):
        place = random.randrange(len(messages))
        content = messages[place].content
        first, last = sorted(random.randrange(len(content) + 1) for _ in range(2))
        noise = random.choice(("", "| ", ": ", "; ", "9" * 400, "None", "\x00", "<https://a.example>", "\n\n"))
        opening, _, rest = content.partition("\n")
        spoilt = rest[:first] + noise + rest[last:] if place == len(messages) - 1 else content[:first] + noise
        spoilt = f"{opening}\n{spoilt}" if place == len(messages) - 1 else spoilt + content[last:]
        messages[place] = replace(messages[place], content=spoilt)
    assert isinstance(SimulatedModel().reply(messages, random.randrange(1000)), str)


@pytest.fixture(scope="module")
def broken_chats(world, hand_team):
    """All chats of a team on one question of every kind, to be spoilt."""
    chats = []
    for task in chosen(world[0].tasks, 1):
        team = hand_team(task, SimulatedModel(replace(PERFECT, uses_coder=1.0)))
        team.run()
        chats += [messages for messages, _ in team.calls]
    return chats


def _ran(task, hand_team, seeds):
    for seed in seeds:
        team = hand_team(task, SimulatedModel(PERFECT), seed)
        team.run()
        yield team
