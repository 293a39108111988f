"""A document of tables as text and as a page."""

from lts_jax.reports.tables_page import one_table, tables_html, tables_text

DOCUMENT = {
    "name": "x",
    "title": "A study",
    "headline": "Simulated: one is above two.",
    "foot": "3 seeds.",
    "tables": [one_table("Scores", ["", "score", "n"], [["one", "0.50", "3"], ["two <b>", "-", "12"]], "By name.")],
}


def test_text_is_aligned_to_the_widest_cell():
    assert tables_text(DOCUMENT).splitlines() == [
        "Simulated: one is above two.",
        "",
        "Scores",
        "By name.",
        "         score   n",
        "one       0.50   3",
        "two <b>      -  12",
        "",
        "3 seeds.",
    ]


def test_a_page_shows_cells_as_they_are():
    page = tables_html(DOCUMENT)
    assert "<h1>A study</h1>" in page
    assert "two &lt;b&gt;" in page
    assert "<b>" not in page
