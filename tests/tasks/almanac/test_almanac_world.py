"""The offline world as a whole: size, splits, mess, and the same bytes in every process."""

import hashlib
import os
import re
import statistics
import subprocess
import sys
from collections import Counter

import pytest

from lts_jax.tasks.almanac import Almanac, build_almanac, describe_page, describe_task
from lts_jax.tasks.almanac.press import REFUSALS
from lts_jax.tasks.almanac.world import HELD_OUT

ALMANAC = build_almanac(0)
DIGEST = "126188b36d81bc24"  # of seed 0; change it only with a reason, results of earlier runs refer to it


def digest(almanac: Almanac) -> str:
    """A short hash over every page, file and task."""
    lines = [repr((p.url, p.title, p.text, p.updated, p.refusal)) for p in almanac.pages.values()]
    lines += [repr(item) for item in almanac.files.items()]
    lines += [repr((t.task_id, t.question, t.answer, t.split, t.difficulty, t.attachments)) for t in almanac.tasks]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def facts_of(text: str) -> list[str]:
    """Lines and sentences of a page that state something with a number."""
    parts = re.split(r"\n|(?<=[a-z.]) (?=[A-Z])", text.split("\n", 3)[3])
    return sorted(part for part in parts if re.search(r"\d", part) and "<" not in part and "election 20" not in part)


def test_the_world_is_the_same_in_every_process() -> None:
    assert digest(ALMANAC) == DIGEST
    here = os.path.dirname(__file__)
    program = f"import sys; sys.path.insert(0, {here!r}); from test_almanac_world import *; print(digest(ALMANAC))"
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert output.strip() == DIGEST


def test_another_seed_has_other_facts_and_other_questions() -> None:
    other = build_almanac(1)
    assert len(other.tasks) == len(ALMANAC.tasks)
    # names are drawn from the same words, so a question about one town and one file may come again
    assert len({task.question for task in other.tasks} & {task.question for task in ALMANAC.tasks}) <= 10
    assert len(set(other.pages) & set(ALMANAC.pages)) < 0.1 * len(ALMANAC.pages)
    assert build_almanac() is build_almanac(seed=0) is ALMANAC


def test_there_is_enough_of_everything() -> None:
    assert len(ALMANAC.pages) >= 2_000
    assert len(ALMANAC.files) >= 150
    assert Counter(task.split for task in ALMANAC.tasks) == {"train": 504, "validation": 180, "test": 378}
    assert len({task.question for task in ALMANAC.tasks}) == len({task.task_id for task in ALMANAC.tasks}) == 1_062
    assert len({task.family for task in ALMANAC.tasks}) == 14


def test_splits_share_no_question_and_no_set_of_pages_with_the_same_answer() -> None:
    seen: dict[tuple[object, ...], str] = {}
    for task in ALMANAC.tasks:
        pages = frozenset(need.url for need in ALMANAC.needs[task.task_id])
        assert (pages, task.attachments, task.answer) not in seen
        seen[pages, task.attachments, task.answer] = task.split


def test_families_and_difficulties_are_balanced_inside_each_split() -> None:
    for split, expected in (("train", 14), ("validation", 5), ("test", 9)):
        counts = Counter((task.family, task.difficulty) for task in ALMANAC.tasks_of(split))
        assert set(counts.values()) == {expected}
        assert len(counts) == (42 if split == "test" else 36)


def test_the_first_tasks_of_a_split_mix_families_and_difficulties() -> None:
    first = ALMANAC.tasks_of("train")[:36]
    assert set(Counter(task.family for task in first).values()) == {3}
    assert Counter(task.difficulty for task in first[:12]) == {"easy": 4, "medium": 4, "hard": 4}


def test_two_families_are_kept_out_of_training() -> None:
    assert HELD_OUT == ("company_staff", "trip_cost")
    for split in ("train", "validation"):
        assert not {task.family for task in ALMANAC.tasks_of(split)} & set(HELD_OUT)
    assert len(ALMANAC.tasks_of("test", families=HELD_OUT)) == 54


def test_tasks_of_refuses_what_does_not_exist() -> None:
    with pytest.raises(ValueError, match="split must be one of train, validation, test"):
        ALMANAC.tasks_of("dev")
    with pytest.raises(ValueError, match="no such family: nothing"):
        ALMANAC.tasks_of("test", families=["nothing"])


def test_harder_questions_need_more_pages() -> None:
    limits = {"easy": (2, 3), "medium": (3, 5), "hard": (5, 8)}
    for task in ALMANAC.tasks:
        num_facts = len(ALMANAC.needs[task.task_id]) + len(task.attachments)
        least, most = limits[task.difficulty]
        assert least <= num_facts <= most, task
        assert all(name in ALMANAC.files and name in task.question for name in task.attachments)
    assert {t.family for t in ALMANAC.tasks if t.attachments} == {"branch_population", "district_turnout", "trip_cost"}


def test_pages_are_as_long_as_real_ones() -> None:
    lengths = [len(page.text) for page in ALMANAC.pages.values()]
    assert 2_000 <= statistics.median(lengths) <= 3_000
    assert 8_000 <= statistics.quantiles(lengths, n=100)[98] <= 12_000
    assert 12_000 <= max(lengths) <= 16_500


def test_every_page_follows_the_grammar() -> None:
    second = re.compile(r"<(\S+)> \| updated (\d{4}-\d\d-\d\d) \| page (\d) of (\d)")
    for page in ALMANAC.pages.values():
        title, line, blank, *rest = page.text.split("\n")
        found = second.fullmatch(line)
        assert found and title == page.title and blank == ""
        url, updated, part, num_parts = found.groups()
        assert (url, updated) == (page.url, page.updated)
        following = [line for line in rest if line.startswith("Next page: ")]
        assert len(following) == int(part < num_parts)
        widths = {line.count(" | ") for line in rest if line.startswith("| ")}
        assert len(widths) <= 1
        for address in re.findall(r"(?:See also: .*|Next page: )<(\S+)>", page.text):
            assert address in ALMANAC.pages


def test_split_listings_can_be_walked() -> None:
    starts = [page for page in ALMANAC.pages.values() if page.text.split("\n")[1].endswith("page 1 of 2")]
    assert len(starts) >= 90
    for page in starts:
        following = page.text.rsplit("Next page: <", 1)[1].rstrip(">")
        assert ALMANAC.pages[following].title == page.title
        assert ALMANAC.pages[following].text.split("\n")[1].endswith("page 2 of 2")


def test_outdated_duplicates_are_older_and_contradict() -> None:
    assert len(ALMANAC.stale_urls) >= 400
    for stale_url, url in ALMANAC.stale_urls.items():
        stale, page = ALMANAC.pages[stale_url], ALMANAC.pages[url]
        assert stale.title == page.title
        assert stale.updated[:4] in ("2018", "2019", "2020", "2021", "2022", "2023")
        assert page.updated.startswith("2025-")
        assert facts_of(stale.text) and facts_of(stale.text) != facts_of(page.text)


def test_refusing_pages_have_a_mirror_with_the_same_facts() -> None:
    refusing = [page for page in ALMANAC.pages.values() if page.refusal]
    assert len(refusing) >= 100
    assert {page.refusal for page in refusing} == set(REFUSALS)
    for page in refusing:
        mirror = ALMANAC.pages[ALMANAC.mirror_urls[page.url]]
        assert not mirror.refusal
        assert (mirror.title, mirror.updated) == (page.title, page.updated)
        assert facts_of(mirror.text) == facts_of(page.text)


def test_near_miss_names_exist() -> None:
    titles = {page.title for page in ALMANAC.pages.values()}
    shops = [title for title in titles if title.endswith("s Shop") and title.removesuffix("s Shop") in titles]
    assert len(shops) >= 50
    assert sum(f"Old {title}" in titles for title in titles) >= 50


def test_descriptions_show_tasks_and_pages_to_people() -> None:
    task = next(task for task in ALMANAC.tasks if task.attachments)
    text = describe_task(task)
    assert task.question in text and task.attachments[0] in text and task.answer in text
    page = next(page for page in ALMANAC.pages.values() if page.refusal)
    assert describe_page(ALMANAC, page.url).startswith("(a visit is refused: ")
    with pytest.raises(ValueError, match="url must be the address of a page"):
        describe_page(ALMANAC, "https://nowhere.example")
