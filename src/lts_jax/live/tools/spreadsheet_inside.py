"""A workbook as tables, cell by cell as it stands there: no word becomes a number, and no number another one.

Runs in the sandboxed process that reads a document, without the package around it.
"""

import datetime
import io
import re
from typing import Any

_MAX_BLANK_ROWS = 20  # one after the other; more are told by their number
_MAX_MERGED = 60  # areas that are told


def read_workbook(content: bytes) -> str:
    """All sheets with their names, each as a Markdown table whose heading is its first row that is not blank.

    A cell shows what was last computed for it, and its formula where nothing was.
    """
    from openpyxl import load_workbook

    written = load_workbook(io.BytesIO(content))
    has_formulas = any(cell.data_type == "f" for sheet in written.worksheets for cell in _cells(sheet).values())
    computed = load_workbook(io.BytesIO(content), data_only=True) if has_formulas else written
    return "\n\n".join(_show_sheet(sheet, computed[sheet.title]) for sheet in written.worksheets)


def _cells(sheet: Any) -> dict[tuple[int, int], Any]:
    """The cells that are there, by row and column. `iter_rows` would make all others, up to one that is far away."""
    return dict(sorted(sheet._cells.items()))


def _show_sheet(written: Any, computed: Any) -> str:
    rows: dict[int, dict[int, str]] = {}
    values = _cells(computed)
    for place, cell in _cells(written).items():
        text = _show_cell(cell, values[place].value)
        if text:
            rows.setdefault(place[0], {})[place[1]] = text
    heading = f"## {' '.join(str(written.title).split())}"
    if not rows:
        return f"{heading}\n\nNo cell of it holds anything."
    width = max(max(row) for row in rows.values())
    lines, previous = [heading], min(rows) - 1
    for number, row in rows.items():
        lines += _blank_rows(number - previous - 1, width)
        lines.append(_line([row.get(column, "") for column in range(1, width + 1)]))
        if len(lines) == 2:
            lines.append(_line(["---"] * width))
        previous = number
    merged = sorted(str(area) for area in written.merged_cells.ranges)
    if merged:
        more = f" and {len(merged) - _MAX_MERGED} more" if len(merged) > _MAX_MERGED else ""
        lines += ["", f"Merged cells: {', '.join(merged[:_MAX_MERGED])}{more}"]
    return "\n".join(lines)


def _blank_rows(number: int, width: int) -> list[str]:
    if number > _MAX_BLANK_ROWS:
        return [_line([f"({number} blank rows)", *[""] * (width - 1)])]
    return [_line([""] * width)] * number


def _line(row: list[str]) -> str:
    return f"| {' | '.join(row)} |"


def _show_cell(cell: Any, value: Any) -> str:
    """A cell as its reader sees it, on one line."""
    if value is None:
        value = getattr(cell.value, "text", cell.value)  # a formula of one cell, or of an array
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _show_number(value, str(cell.number_format))
    if isinstance(value, datetime.datetime):
        value += datetime.timedelta(microseconds=500)  # kept as a fraction of a day, which is a little off
        value = value.replace(microsecond=value.microsecond // 1000 * 1000)
        has_time = value.time() != datetime.time() or _shows_hours(str(cell.number_format))
        return value.isoformat(" ") if has_time else value.date().isoformat()
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    return "" if value is None else " ".join(str(value).replace("|", "\\|").split())


def _show_number(value: float, number_format: str) -> str:
    if isinstance(value, int):
        width = len(number_format) if re.fullmatch("0{2,}", number_format) else 0  # shown with zeros in front
        return f"{value:0{width}d}" if width else str(value)
    rounded = float(f"{value:.15g}")  # a workbook shows fifteen digits; the rest is how binary fractions are kept
    return str(int(rounded)) if rounded.is_integer() and abs(rounded) < 1e16 else repr(rounded)


def _shows_hours(number_format: str) -> bool:
    """Whether a format of dates has hours or seconds in it, outside of quoted words, colours and languages."""
    return re.search("[hs]", re.sub(r'"[^"]*"|\[[^hms\]]*\]|\\.', "", number_format), re.IGNORECASE) is not None
