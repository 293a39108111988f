"""What the simulated model takes from pages, results and files, and how it says and reads it again."""

import pytest

from lts_jax import prompts
from lts_jax.llm.simulated.chances import Chances, trait
from lts_jax.llm.simulated.findings import (
    Finding,
    about_other,
    asked_need,
    failure_sentence,
    miss_sentence,
    read_note,
    read_pulled,
    results_sentence,
    stated_need,
)
from lts_jax.llm.simulated.pages import read_document, read_json, read_results, read_rows
from lts_jax.llm.simulated.slips import far_off, invent, misread, mistype
from lts_jax.llm.simulated.understanding import Need

HEADING = "Amber Owl Zoo\n<https://www.quil.example/zoo> | updated 2025-03-04 | page 1 of 2\n\n"
TABLE = "| Club | Points |\n| Red Rovers | 12 |\n| Blue Rovers | 9 |\n"


def test_a_page_by_hand():
    page = read_document(f"{HEADING}Some words here.\n\nAdult ticket: $12.50\nDogs: welcome\n\n{TABLE}* A note.\n")
    assert (page.title, page.url, page.updated) == ("Amber Owl Zoo", "https://www.quil.example/zoo", "2025-03-04")
    assert (page.part, page.num_parts, page.num_viewports) == (1, 2, 1)
    assert page.fields == {"Adult ticket": "$12.50", "Dogs": "welcome"}
    assert page.table == (("Club", "Points"), ("Red Rovers", "12"), ("Blue Rovers", "9"))
    assert page.row("Blue Rovers") == ("Blue Rovers", "9")
    assert page.row("Green Rovers") is None
    assert (page.column("Points"), page.column("Won")) == (1, -1)
    assert page.table_complete


def test_a_table_cut_by_a_viewport_is_not_complete():
    assert not read_document(f"{HEADING}{TABLE}[viewport 1 of 2]").table_complete
    assert read_document(f"{HEADING}{TABLE}\nMore.\n[viewport 1 of 2]").table_complete
    rest = read_document(f"{HEADING}| Green Rovers | 7 |\n\nMore.\n[viewport 2 of 2]")
    assert rest.table == ()  # its header is out of sight
    assert read_document("403 Forbidden\nNo.\n<https://x.example>") is None


def test_results_and_files_by_hand():
    results = "Search results for: zoo\n1. Amber Owl Zoo\n   <https://a.example/1>\n   Text\n"
    results += "2. Old Zoo\n   <https://b.example>\n   T"
    assert read_results(results) == (("Amber Owl Zoo", "https://a.example/1"), ("Old Zoo", "https://b.example"))
    assert read_rows("File: a.csv\n\ntown,staff\nQuil,7\n") == ({"town": "Quil", "staff": "7"},)
    assert read_json('File: a.json\n\n{"a": [1]}\n') == {"a": [1]}
    assert read_json("File: a.json\n\nnot json") is None


NEED = Need("points by Red Rovers", "Amber League 2019")


def test_report_sentences_are_read_again():
    finding = Finding(NEED, "12 (of 30); x: 7", 1, 2, "2025-03-04", "https://a.example/1")
    undated = Finding(Need("hotel stays", "trip.csv"), "A Inn, single, 3", 1, 1, "", "trip.csv")
    assert read_note(f"{finding} {undated}\n\n{finding}").findings == (finding, undated)
    note = read_note(miss_sentence(NEED, "https://a.example/1", "on viewport 1 of 3"))
    assert [(miss.need, miss.extent) for miss in note.misses] == [(NEED, "viewport")]
    assert read_note(miss_sentence(NEED, "u", 'searched for "a"')).misses[0].extent == "searched"
    assert read_note(miss_sentence(NEED, "u", "seen in full")).misses[0].extent == "seen"
    assert read_note(about_other("u", "Old Zoo", "Zoo")).useless_urls == ("u",)
    note = read_note(failure_sentence("https://a.example", "403 Forbidden"))
    assert (note.useless_urls, note.failure) == (("https://a.example",), "403 Forbidden")
    pages = [("Amber Owl Zoo", "https://a.example/1"), ("Old Zoo", "https://b.example")]
    assert read_note(results_sentence(NEED, pages)).searches[0].pages == tuple(pages)
    assert read_note(results_sentence(NEED, [])).searches[0].pages == ()


def test_only_the_report_counts_not_the_tool_text_below_it():
    finding = Finding(NEED, "12", 1, 1, "2025-03-04", "https://a.example/1")
    assert read_note(f"Nothing here.\n\n{finding}").findings == ()


def test_failed_calls_are_read_without_a_report():
    note = read_note("visit_url failed.\n\n403 Forbidden\nYou may not.\n<https://a.example/1>")
    assert (note.useless_urls, note.failure) == (("https://a.example/1",), "403 Forbidden")
    assert read_note("web_search failed.\n\nNo results found for: zo").searches[0].pages == ()
    assert (
        read_note("find_on_page failed.\n\nNo match for 'x' on <https://a.example>").misses[0].url
        == "https://a.example"
    )


def test_a_pulled_value_gives_its_findings_and_a_pulled_failure_what_is_absent():
    finding = Finding(NEED, "12", 1, 1, "2025-03-04", "https://a.example/1")
    key = f"WebSurfer found {NEED}: 12 (updated 2025-03-04)"
    assert read_pulled(prompts.value_message(3, key, f"{finding}\n\nText").content).findings == (finding,)
    key = f"WebSurfer read a page for {NEED}, which did not give it; nothing was found"
    note = read_pulled(prompts.value_message(3, key, miss_sentence(NEED, "u", "seen in full")).content)
    assert note.absent == NEED


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (f"WebSurfer found {NEED}: 12 (updated 2021-03-04)", (NEED, "value")),
        (f"WebSurfer searched for {NEED} and listed 2 fitting pages", (NEED, "pages")),
        (f"WebSurfer searched for {NEED} and listed no fitting pages", (NEED, "nothing")),
        (f"WebSurfer could not open a page for {NEED}: 403 Forbidden", (NEED, "nothing")),
        ("ComputerTerminal ran the program and printed: 12", None),
    ],
)
def test_memory_keys_state_a_need(key, expected):
    assert stated_need(key) == expected


def test_instructions_name_their_need():
    assert asked_need(f'WebSurfer: Search the web for "x" to find {NEED}.') == NEED
    assert asked_need("Coder: Write a program.") is None


def test_slips_change_what_they_should():
    for seed in range(20):
        chances = Chances(seed, "slips")
        assert misread("12", TABLE, chances) == "9"
        assert misread("A; B; C", TABLE, chances) in ("B; C", "A; C", "A; B")
        assert mistype("Amber Owl Zoo", chances) not in ("Amber Owl Zoo", "")
        assert invent("12.50 at 06:10", chances).endswith(" at 06:10")
        assert float(invent("12.50", chances)) != 12.5
        ratio = float(far_off("100.00", chances)) / 100
        assert ratio in (0.1, 0.4, 0.6, 1.7, 2.5, 10.0)


def test_chances_and_traits_are_uniform_enough():
    numbers = [Chances(seed, "act").uniform() for seed in range(4000)]
    assert abs(sum(numbers) / 4000 - 0.5) < 0.02
    traits = [trait(team, "stale", "Amber Owl Zoo") for team in range(4000)]
    assert abs(sum(each < 0.25 for each in traits) / 4000 - 0.25) < 0.025
    assert sorted(Chances(5, "plan").shuffle([1, 2, 3, 4])) == [1, 2, 3, 4]
