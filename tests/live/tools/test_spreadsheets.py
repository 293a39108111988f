"""Workbooks as tables: what a cell holds is what is shown."""

import datetime
import io
import re
from zipfile import ZipFile

import pytest

pytest.importorskip("openpyxl", reason="comes with markitdown, of the extra `web`")

from openpyxl import Workbook
from openpyxl.worksheet.formula import ArrayFormula

from lts_jax.live.tools.spreadsheet_inside import read_workbook


def shown(*rows, change=None):
    """The lines of a workbook of one sheet, without its name."""
    book = Workbook()
    for row in rows:
        book.active.append(row)
    if change is not None:
        change(book)
    file = io.BytesIO()
    book.save(file)
    return read_workbook(file.getvalue()).split("\n")[1:]


def cells(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_words_and_numbers_stay_what_they_are():
    rows = [
        ["id", "n"],
        ["007", 7],
        ["NA", 123456789012],
        ["None", None],
        ["1e3", 0.1 + 0.2],
        [True, 1e22],
        [None, 2.0],
    ]
    assert shown(*rows) == [
        "| id | n |",
        "| --- | --- |",
        "| 007 | 7 |",
        "| NA | 123456789012 |",
        "| None |  |",
        "| 1e3 | 0.3 |",
        "| TRUE | 1e+22 |",
        "|  | 2 |",
    ]


def test_a_cell_is_one_line_of_one_cell():
    assert shown(["a|b", "two\nlines"])[0] == "| a\\|b | two lines |"


def test_dates_are_shown_as_their_format_has_them():
    def change(book):
        sheet = book.active
        sheet["A1"] = datetime.datetime(2024, 5, 1)
        sheet["B1"] = datetime.datetime(2024, 5, 1, 14, 30)
        sheet["C1"] = datetime.datetime(2024, 5, 1)
        sheet["C1"].number_format = "yyyy-mm-dd hh:mm"
        sheet["D1"] = datetime.time(9, 5)
        sheet["E1"], sheet["E1"].number_format = 42, "00000"
        sheet["F1"], sheet["G1"] = datetime.timedelta(hours=30, seconds=5), 1e15
        sheet["A1"].number_format = 'dd" o\'clock has h"/mm/yyyy'

    (row, _) = cells(shown(change=change))
    assert row[:3] == ["2024-05-01", "2024-05-01 14:30:00", "2024-05-01 00:00:00"]
    assert row[3:] == ["09:05:00", "00042", "30:00:05", "1000000000000000"]


def test_a_formula_that_was_never_computed_is_shown_itself():
    def change(book):
        book.active["A2"] = "=SUM(B1:B9)"
        book.active["A3"] = ArrayFormula("A3:A3", "=B1*2")

    assert cells(shown(["x"], change=change))[2:] == [["=SUM(B1:B9)"], ["=B1*2"]]


def test_a_formula_that_was_computed_is_shown_as_its_value():
    book, plain, computed = Workbook(), io.BytesIO(), io.BytesIO()
    book.active.append(["=6*7"])
    book.save(plain)
    with ZipFile(plain) as source, ZipFile(computed, "w") as target:
        for name in source.namelist():
            target.writestr(name, re.sub(rb"(<f>6\*7</f>)<v ?/?>(</v>)?", rb"\1<v>42</v>", source.read(name)))
    assert read_workbook(computed.getvalue()).split("\n")[1] == "| 42 |"


def test_merged_cells_are_told_and_blank_rows_kept():
    def change(book):
        book.active.merge_cells("A1:B1")
        book.active["A3"] = "Task"
        book.active["B3"] = "Owner"
        book.active["A40"] = "far"

    assert shown(["PLAN", None], change=change) == [
        "| PLAN |  |",
        "| --- | --- |",
        "|  |  |",
        "| Task | Owner |",
        "| (36 blank rows) |  |",
        "| far |  |",
        "",
        "Merged cells: A1:B1",
    ]


def test_every_sheet_is_shown_and_a_cell_far_away_costs_nothing():
    def change(book):
        book.create_sheet("Two\nlines")["A1"] = "second"
        book.create_sheet("Empty").cell(1_000_000, 16_000).number_format = "0"
        book["Two\nlines"].sheet_state = "hidden"

    first, second, empty = "\n".join(shown(["first"], change=change)).split("\n\n## ")
    assert (first, second) == ("| first |\n| --- |", "Two lines\n| second |\n| --- |")
    assert empty == "Empty\n\nNo cell of it holds anything."
