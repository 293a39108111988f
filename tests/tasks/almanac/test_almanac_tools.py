"""The tools of the offline world: what they print, when they fail, and that every needed page can be found."""

import re

import pytest

from lts_jax.records import ToolResult
from lts_jax.tasks.almanac import Almanac, AlmanacTools, Page, build_almanac
from lts_jax.tasks.almanac.tools import VIEWPORT_CHARACTERS

ALMANAC = build_almanac(0)
TOOLS = AlmanacTools(ALMANAC)


def small_world() -> Almanac:
    """Four pages by hand: one plain, one that refuses, one with a table, one near miss."""

    def page(title: str, url: str, body: str, refusal: str = "") -> Page:
        text = f"{title}\n<{url}> | updated 2025-03-01 | page 1 of 1\n\n{body}"
        return Page(url, title, text, "2025-03-01", refusal)

    pages = [
        page("Red Hill Pool", "https://a.example/pool", "A quiet place.\n\nLanes: 6"),
        page("Red Hill Pools Shop", "https://a.example/shop", "Sells goggles.\n\nLanes: 2"),
        page("Sales", "https://a.example/sales", "Prices.\n\n| House | Price |\n| 1 Elm | 10 |\n| 2 Oak | 20 |\n"),
        page("Closed", "https://a.example/closed", "Secret: 7", "403 Forbidden"),
    ]
    return Almanac(0, {p.url: p for p in pages}, {"a.csv": "x,y\n1,2\n"}, (), {}, {}, {})


def urls_of(result: ToolResult) -> list[str]:
    return re.findall(r"^   <(.+)>$", result.text, re.MULTILINE)


def test_search_prints_number_title_address_and_snippet() -> None:
    result = AlmanacTools(small_world()).web_search("the red hill pool")
    assert result == ToolResult(
        "Search results for: the red hill pool\n"
        "1. Red Hill Pool\n   <https://a.example/pool>\n   A quiet place.\n"
        "2. Red Hill Pools Shop\n   <https://a.example/shop>\n   Sells goggles.",
        tool="web_search",
    )


def test_search_without_a_hit_fails() -> None:
    result = AlmanacTools(small_world()).web_search("zeppelin")
    assert result == ToolResult("No results found for: zeppelin", failed=True, tool="web_search")


def test_a_visit_shows_the_page_or_why_not() -> None:
    tools = AlmanacTools(small_world())
    text = "Red Hill Pool\n<https://a.example/pool> | updated 2025-03-01 | page 1 of 1\n\nA quiet place.\n\nLanes: 6"
    assert tools.visit_url("https://a.example/pool") == ToolResult(text, tool="visit_url")
    assert tools.visit_url(" <https://a.example/pool/> ").text == text
    refused = tools.visit_url("https://a.example/closed")
    assert refused.failed and refused.text == "403 Forbidden\n<https://a.example/closed>"
    assert tools.visit_url("https://a.example/none").failed
    assert tools.visit_url("https://a.example/pool", 2).failed
    assert tools.visit_url("https://a.example/pool", 0).failed


def test_find_on_page_gives_the_header_of_a_table_row() -> None:
    tools = AlmanacTools(small_world())
    found = tools.find_on_page("https://a.example/sales", "OAK")
    assert found.text.split("\n")[3:] == ["| House | Price |", "| 2 Oak | 20 |"]
    assert tools.find_on_page("https://a.example/sales", "elk").failed
    assert tools.find_on_page("https://a.example/sales", "").failed
    refused = tools.find_on_page("https://a.example/closed", "secret")
    assert refused.failed and "7" not in refused.text


def test_files_open_by_name() -> None:
    tools = AlmanacTools(small_world())
    assert tools.open_file("a.csv") == ToolResult("File: a.csv\n\nx,y\n1,2\n", tool="open_file")
    assert tools.open_file("b.csv").failed
    assert tools.list_files().text == "a.csv"


def test_run_python_reports_errors_as_failures() -> None:
    assert TOOLS.run_python("print(2 + 2)") == ToolResult("4", tool="run_python")
    failed = TOOLS.run_python("print(1)\n1 / 0")
    assert failed.failed and failed.text.startswith("1\nTraceback") and "ZeroDivisionError" in failed.text


def test_viewports_of_the_longest_page_join_to_the_whole_page() -> None:
    longest = max((p for p in ALMANAC.pages.values() if not p.refusal), key=lambda page: len(page.text))
    views = []
    while not (result := TOOLS.visit_url(longest.url, len(views) + 1)).failed:
        views.append(result.text)
    assert len(views) >= 3
    heading = "\n".join(longest.text.split("\n")[:2]) + "\n\n"
    bodies = [
        view.removeprefix(heading).removesuffix(f"\n[viewport {i} of {len(views)}]") for i, view in enumerate(views, 1)
    ]
    assert heading + "\n".join(bodies) == longest.text
    assert all(len(body) <= VIEWPORT_CHARACTERS for body in bodies)


def test_the_same_call_returns_the_same_object() -> None:
    url = next(url for url, page in ALMANAC.pages.items() if not page.refusal)
    again = AlmanacTools(ALMANAC)
    assert TOOLS.visit_url(url).text is again.visit_url(url).text
    assert TOOLS.web_search("swimming pools").text is again.web_search("swimming pools").text


@pytest.mark.parametrize("family", sorted({task.family for task in ALMANAC.tasks}))
def test_every_needed_page_is_among_the_first_six_results_for_its_subject(family: str) -> None:
    needs = {need for task in ALMANAC.tasks if task.family == family for need in ALMANAC.needs[task.task_id]}
    assert needs
    for need in needs:
        found = urls_of(TOOLS.web_search(need.subject))
        first_part = need.url.partition("/page-")[0]
        wanted = {ALMANAC.mirror_urls.get(need.url, need.url), ALMANAC.mirror_urls.get(first_part, first_part)}
        assert wanted & set(found), need


def test_outdated_duplicates_compete_in_search_and_sometimes_win() -> None:
    wins = sum(
        urls_of(TOOLS.web_search(ALMANAC.pages[stale].title))[0] == stale for stale in list(ALMANAC.stale_urls)[:200]
    )
    assert 50 <= wins <= 180
