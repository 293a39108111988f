"""The simulated model's facts and what it recalls from them: right facts score 1.0, wrong ones 0."""

import json

from lts_jax import prompts
from lts_jax.llm.simulated.model import SimulatedModel
from lts_jax.llm.simulated.settings import PERFECT, SimulatedModelSettings
from lts_jax.memory.facts import FactCounts, accepted, parse_facts
from lts_jax.tasks.almanac.world import build_almanac
from lts_jax.tasks.scoring import score_answer

PAGE = """Broken Falcon Pool
<https://www.ruskstow.example/pools/broken-falcon-pool> | updated 2025-06-04 | page 1 of 1

The pavilion was moved to a rounded spot. It stands 2.23 km east and 2.18 km south of the town hall.

Newsletter: monthly
Weekday hours: 06:00-20:00

| Lane | Depth* |
| 1 | 3.5 |
* in metres

See also: Swimming pools in Ruskstow <https://www.ruskstow.example/pools>"""
HEAD = "Broken Falcon Pool (page 1 of 1, updated 2025-06-04):"


def facts_of(text, question="", settings=PERFECT, seed=1):
    reply = SimulatedModel(settings).reply([prompts.extract_request(text, question)], seed)
    return parse_facts(reply)[0]


def test_a_page_gives_its_fields_tables_and_sentences_with_numbers():
    assert [fact.text.removeprefix(f"{HEAD}\n") for fact in facts_of(PAGE)] == [
        "Broken Falcon Pool stands 2.23 km east and 2.18 km south of the town hall.",
        "Newsletter: monthly",
        "Weekday hours: 06:00-20:00",
        "| Lane | Depth* |\n| 1 | 3.5 |\n* in metres",
    ]
    assert all(fact.text.startswith(HEAD) and fact.time == "2025-06-04" for fact in facts_of(PAGE))


def test_a_report_gives_what_it_found_for_the_request():
    found = "The ticket prices of Mill: adult $3; child $1 (page 1 of 1, updated 2025-01-02, <https://mill.example>)."
    listed = "The search for the ticket prices of Zoo lists 1 pages: Zoo <https://zoo.example>."
    assert [fact.text for fact in facts_of(f"{found}\n\n{PAGE}", "What?")] == [found]
    assert [fact.text for fact in facts_of(f"{listed}\n\nSearch results for: Zoo", "What?")] == [listed]
    assert facts_of("The page <https://mill.example> could not be opened: 404.\n\n404", "What?") == []


def test_it_overlooks_misreads_and_makes_up_and_what_is_made_up_is_refused():
    overlooking = SimulatedModelSettings(overlooks_value=1.0, hallucinates=0.0)
    assert facts_of(PAGE, settings=overlooking) == []
    inventing = SimulatedModelSettings(overlooks_value=0.0, misreads=0.0, hallucinates=1.0)
    counts = FactCounts()
    for seed in range(20):
        accepted(facts_of(PAGE, settings=inventing, seed=seed), PAGE, counts)
    assert counts.stored >= 80 and counts.refused["number not in the source"] > 5
    misreading = SimulatedModelSettings(overlooks_value=0.0, misreads=1.0, hallucinates=0.0)
    assert [fact.text for fact in facts_of(PAGE, settings=misreading)] != [fact.text for fact in facts_of(PAGE)]


def test_the_right_facts_score_one_and_the_wrong_ones_nothing():
    almanac, model = build_almanac(0), SimulatedModel(PERFECT)
    tasks = [task for task in almanac.tasks_of("train") if not task.attachments][:12]

    def texts_of(task):
        pages = [almanac.mirror_urls.get(need.url, need.url) for need in almanac.needs[task.task_id]]
        return [fact.text for url in pages for fact in facts_of(almanac.pages[url].text)]

    def answer(task, texts):
        reply = model.reply([prompts.recall_request(task.question, texts)], 1)
        return score_answer(task, reply.rpartition(prompts.ANSWER_MARKER)[2].strip()).score

    assert [answer(task, texts_of(task)) for task in tasks] == [1.0] * len(tasks)
    wrong = [texts_of(tasks[place - 1]) for place in range(len(tasks))]
    assert [answer(task, texts) for task, texts in zip(tasks, wrong, strict=True)] == [0.0] * len(tasks)


def test_what_is_missing_is_named():
    question = (
        "Which of Noble Dover Pool and Broken Falcon Pool is currently closest to the Clock Tower in a straight line?"
    )
    request = prompts.reflect_request(question, [fact.text for fact in facts_of(PAGE)], 8)
    reply = SimulatedModel(PERFECT).reply([request], 1)
    assert json.loads(reply) == {"queries": ["Clock Tower", "Noble Dover Pool"]}
    one = prompts.reflect_request(question, [], 1)
    assert len(json.loads(SimulatedModel(PERFECT).reply([one], 1))["queries"]) == 1
