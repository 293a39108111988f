"""Each weakness, alone and certain, shows the effect that its description promises."""

import json
from dataclasses import replace

import pytest

from lts_jax import prompts
from lts_jax.llm.simulated import PERFECT, SimulatedModel
from lts_jax.llm.simulated.findings import Finding, miss_sentence, read_note
from lts_jax.llm.simulated.understanding import Need
from lts_jax.prompts import OPENINGS
from lts_jax.tasks.scoring.assistantbench import score

QUESTION = (
    "We are 2 adults and 3 children and want to visit Amber Owl Zoo and Red Hen Mill once each. "
    "What is the total of the current ticket prices, in dollars?"
)
ZOO, MILL = Need("ticket prices", "Amber Owl Zoo"), Need("ticket prices", "Red Hen Mill")
LEDGER = prompts.task_ledger(QUESTION, (), "facts", f"- Find {ZOO}.\n- Find {MILL}.")
GUIDES = ("cityguide", "daytrips", "whatwhere", "oldpages")


def found(need, value, updated="2025-03-04", url="https://www.a.example/1"):
    """A report sentence."""
    return str(Finding(need, value, 1, 1, updated, url))


def weak(**settings):
    """A model that is flawless but for these."""
    return SimulatedModel(replace(PERFECT, **settings))


@pytest.fixture
def run(world, hand_team):
    """Run a few teams of one model on the first questions of a family; give the teams."""

    def teams(family, difficulty, model, num=4):
        tasks = [task for task in world[0].tasks if (task.family, task.difficulty) == (family, difficulty)][:num]
        ran = []
        for seed, task in enumerate(tasks):
            team = hand_team(task, model, seed)
            team.answer = team.run()
            ran.append(team)
        return ran

    return teams


def arguments(teams, tool, name):
    return [call[1][name] for team in teams for call in team.tool_calls if call[0] == tool]


def reports(teams):
    return [
        (messages[-1].content, read_note(reply))
        for team in teams
        for messages, reply in team.calls
        if messages[-1].content.startswith(OPENINGS["report"])
    ]


def num_steps(teams):
    return sum(message.role == "assistant" for team in teams for message in team.thread)


def mean_score(teams):
    return sum(score(team.answer, team.task.answer).score for team in teams) / len(teams)


def test_mistypes(run):
    teams = run("film_minutes", "easy", weak(mistypes=1.0), num=2)
    titles = [query for query in arguments(teams, "web_search", "query") if query in teams[0].task.question]
    assert titles == []
    files = run("trip_cost", "easy", weak(mistypes=1.0), num=1)
    assert files[0].task.attachments[0] not in arguments(files, "open_file", "name")


def test_repeats_action(run):
    teams = run("film_minutes", "easy", weak(repeats_action=1.0), num=1)
    queries = arguments(teams, "web_search", "query")
    assert len(queries) > 2 * len(set(queries))


def test_fatigue_sets_in_after_the_fresh_steps(run):
    tired = weak(fatigue_per_step=1.0, max_fatigue=1.0, fresh_steps=4)
    (team,) = run("film_minutes", "medium", tired, num=1)
    (flawless,) = run("film_minutes", "medium", weak(), num=1)
    assert team.tool_calls[:4] == flawless.tool_calls[:4]
    assert len(team.tool_calls) > len(flawless.tool_calls)


def test_near_misses_are_opened_and_believed(run):
    flawless = run("nearest_pool", "medium", weak(), num=10)
    straying = run("nearest_pool", "medium", weak(takes_near_miss=1.0), num=10)
    believing = run("nearest_pool", "medium", weak(takes_near_miss=1.0, accepts_near_miss=1.0), num=10)
    others = [note for _, note in reports(straying) if note.useless_urls]
    assert not [note for _, note in reports(flawless) if note.useless_urls]
    assert others
    assert not [note for _, note in reports(believing) if note.useless_urls]
    assert mean_score(flawless) == mean_score(straying) == 1.0
    assert mean_score(believing) < 1.0


def test_ignores_dates_reads_outdated_guides_first(run):
    def num_guides(model):
        urls = arguments(run("longest_exhibition", "medium", model, num=6), "visit_url", "url")
        return sum(guide in url for url in urls for guide in GUIDES)

    assert num_guides(weak()) == 0
    assert num_guides(weak(ignores_dates=1.0)) > 2


def test_follows_stale_page_costs_answers(run):
    compares = run("longest_exhibition", "medium", weak(ignores_dates=1.0), num=10)
    settles = run("longest_exhibition", "medium", weak(ignores_dates=1.0, follows_stale_page=1.0), num=10)
    assert mean_score(compares) == 1.0
    assert mean_score(settles) < 0.9
    assert num_steps(settles) < num_steps(compares)


def test_misreads(run):
    teams = run("film_minutes", "easy", weak(misreads=1.0))
    assert all(team.answer != team.task.answer for team in teams)


def test_overlooks_value(run):
    teams = run("film_minutes", "easy", weak(overlooks_value=1.0), num=1)
    assert not [note for _, note in reports(teams) if note.findings]
    assert teams[0].answer == "unable to determine"


def test_overlooks_footnote(run):
    for team in run("house_price", "easy", weak(overlooks_footnote=1.0)):
        assert float(team.answer) == pytest.approx(float(team.task.answer) / 1000, abs=1)


def test_hallucinates(run):
    teams = run("film_minutes", "easy", weak(overlooks_value=1.0, hallucinates=1.0))
    made_up = [finding for _, note in reports(teams) for finding in note.findings]
    assert made_up
    assert mean_score(teams) < 0.9


def test_gives_up(run):
    searching = run("film_minutes", "easy", weak(overlooks_value=1.0))
    leaving = run("film_minutes", "easy", weak(overlooks_value=1.0, gives_up=1.0))
    assert num_steps(leaving) < num_steps(searching)


def test_stops_early_leaves_guesses(run):
    teams = run("film_minutes", "medium", weak(stops_early=1.0))
    assert all(len(team.ledgers) < 5 and team.answer != team.task.answer for team in teams)
    declining = run("film_minutes", "medium", weak(stops_early=1.0, declines_to_guess=1.0))
    assert {team.answer for team in declining} == {"unable to determine"}


def test_stops_late(run):
    (team,) = run("film_minutes", "easy", weak(stops_late=1.0), num=1)
    assert not any(ledger["is_request_satisfied"]["answer"] for ledger in team.ledgers)
    assert "Check once more" in team.thread[-2].content


def test_ledger_answers_go_wrong(run):
    (team,) = run("film_minutes", "easy", weak(misjudges_progress=1.0), num=1)
    assert [ledger["is_progress_being_made"]["answer"] for ledger in team.ledgers[1:]] == [False] * 4
    (team,) = run("film_minutes", "easy", weak(imagines_loop=1.0), num=1)
    assert [ledger["is_in_loop"]["answer"] for ledger in team.ledgers] == [False, False, True, True, True]


def test_uses_coder_computes_by_program(run):
    teams = run("recipe_cost", "medium", weak(uses_coder=1.0, slips_in_arithmetic=1.0))
    assert mean_score(teams) == 1.0
    assert all(team.thread[-3].name == "Coder" and team.thread[-1].name == "ComputerTerminal" for team in teams)


def test_slips_in_arithmetic(run):
    assert mean_score(run("recipe_cost", "medium", weak(slips_in_arithmetic=1.0))) < 0.6


KEYS = [
    f"WebSurfer found {ZOO}: adult $12.50; child $7.00 (updated 2025-03-04)",
    f"WebSurfer found {MILL}: adult $8.00; child $4.00 (updated 2021-03-04)",
    f"WebSurfer read a page for {MILL}, which did not give it; nothing was found",
    "ComputerTerminal ran the program and printed: 74.0 as one of the values that the whole request asks",
]


def selection(model, thread, seed=0):
    lines = [prompts.key_line(entry, key) for entry, key in enumerate(KEYS)]
    reply = model.reply([*thread, prompts.select_request(QUESTION, lines)], seed)
    return json.loads(reply.removeprefix(f"{prompts.SELECTION_MARKER} "))


def test_selection_takes_what_is_open_and_only_that():
    assert selection(weak(), [LEDGER]) == [0, 1]
    reading = prompts.agent_reply("WebSurfer", found(ZOO, "adult $12.50; child $7.00"))
    assert selection(weak(), [LEDGER, reading]) == [1]
    assert selection(weak(overlooks_key=1.0), [LEDGER]) in ([], [0], [1])  # at most 0.9
    missed_keys = sum(2 - len(selection(weak(clutter_per_key=0.1), [LEDGER], seed)) for seed in range(200))
    assert 0.3 < missed_keys / 400 < 0.5  # four keys, 0.1 each
    assert selection(weak(pulls_useless=1.0), [LEDGER]) == [0, 1, 2, 3]


def test_selection_prefers_what_more_teams_have_stored():
    keys = [f"WebSurfer found {ZOO}: adult ${price}.00; child $7.00 (updated 2025-03-04)" for price in (11, 12, 13)]
    for teams, chosen in (((1, 1, 1), 0), ((1, 2, 1), 1), ((1, 2, 3), 2)):
        lines = [
            prompts.key_line(entry, key, count) for entry, (key, count) in enumerate(zip(keys, teams, strict=True))
        ]
        reply = weak().reply([LEDGER, prompts.select_request(QUESTION, lines)], 0)
        assert reply == f"{prompts.SELECTION_MARKER} [{chosen}]"


def answer(model, thread):
    return model.reply([*thread, prompts.answer_request(QUESTION)], 0).rpartition(" ")[2]


def satisfied(model, thread):
    ledger = json.loads(model.reply([*thread, prompts.ledger_request()], 0))
    return ledger["is_request_satisfied"]["answer"]


def test_trusts_pulled():
    old = prompts.value_message(1, KEYS[1], found(MILL, "adult $1.00; child $1.00", "2021-03-04"))
    own = [prompts.agent_reply("WebSurfer", found(each, "adult $8.00; child $4.00")) for each in (ZOO, MILL)]
    assert answer(weak(), [LEDGER, *own, old]) == "56.00"
    assert answer(weak(trusts_pulled=1.0), [LEDGER, *own, old]) == "33.00"
    assert not satisfied(weak(), [LEDGER, own[0], old])  # outdated, so another page is compared
    assert satisfied(weak(trusts_pulled=1.0), [LEDGER, own[0], old])
    failure = prompts.value_message(2, KEYS[2], miss_sentence(MILL, "https://www.a.example/2", "seen in full"))
    assert not satisfied(weak(), [LEDGER, own[0], failure])
    assert satisfied(weak(trusts_pulled=1.0), [LEDGER, own[0], failure])


def verdict(model, keys, output):
    return model.reply([prompts.judge_request(QUESTION, keys, "asked", "summary", output)], 0)


def test_the_judge_wants_new_values():
    value, failure = found(ZOO, "adult $1.00; child $1.00"), "visit_url failed.\n\n403 Forbidden"
    assert [verdict(weak(), KEYS[1:], each) for each in (value, failure)] == ["YES", "NO"]
    assert verdict(weak(), KEYS, value) == "NO"  # already stored
    assert [verdict(weak(misjudges_admission=1.0), [], each) for each in (value, failure)] == ["NO", "YES"]


def aggregated(model, *answers):
    sections = [prompts.team_section(i, "satisfied", *each) for i, each in enumerate(answers)]
    return model.reply(prompts.aggregate_request(QUESTION, sections), 0).rpartition("FINAL ANSWER: ")[2]


def test_the_aggregator_weighs_agreement_and_completeness():
    full = f"WebSurfer: {found(ZOO, 'adult $1; child $1')}\nWebSurfer: {found(MILL, 'adult $1; child $1')}"
    assert aggregated(weak(), ("74.00", ""), ("80.00", ""), ("74", "")) == "74.00"
    assert aggregated(weak(), ("80.00", ""), ("74.00", full), ("unable to determine", "")) == "74.00"
    assert aggregated(weak(), ("(no answer)", ""), ("", "")) == "unable to determine"
    assert aggregated(weak(aggregates_wrongly=1.0), ("74.00", full), ("80.00", "")) == "80.00"


def test_common_mistakes_are_shared_by_all_teams():
    def stale_teams(model, num=60):
        old = prompts.agent_reply("WebSurfer", found(ZOO, "adult $1.00; child $1.00", "2021-03-04"))
        fresh = prompts.agent_reply("WebSurfer", found(MILL, "adult $1.00; child $1.00"))
        ledgers = [prompts.task_ledger(QUESTION, (), f"guess {team}", "plan") for team in range(num)]
        return sum(satisfied(model, [ledger, old, fresh]) for ledger in ledgers)

    assert 15 < stale_teams(weak(follows_stale_page=0.5)) < 45
    assert stale_teams(weak(follows_stale_page=0.5, common_mistakes=1.0)) in (0, 60)
