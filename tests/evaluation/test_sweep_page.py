"""A sweep's folder becomes a page, JSON and a table; figures hold what they should; no network is asked."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from fake_sweeps import FIELDS, make_table
from pyarrow import parquet

from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame
from lts_jax.reports.charts import HeatAxes, HeatCell, heat_map
from lts_jax.reports.point_chart import Point, PointSeries, point_chart
from lts_jax.reports.sweep_folder import is_sweep, read_sweep, write_sweep_report
from lts_jax.reports.sweep_page import sweep_html
from lts_jax.reports.sweep_report import build_sweep_report

MEASURES = ["reward", "runtime_seconds", "admission_fraction", "read_rate"]
HOSTILE = "\"'><script>alert(1)</script>\x00 </style>"


def document(**changes) -> dict:
    return {"fields": list(FIELDS), "measures": MEASURES, "side": "simulator", "settings": {"a": 1}, **changes}


def make_folder(folder: Path, table: dict, **changes) -> Path:
    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.table(table), folder / "results.parquet")
    (folder / "sweep.json").write_text(json.dumps(document(**changes)))
    return folder


def page(table: dict, **changes) -> str:
    return sweep_html(build_sweep_report(table, document(**changes), name="mine"))


class Walker(HTMLParser):
    """Checks that every element is closed in order, and keeps what was seen."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_folder_becomes_a_report(tmp_path) -> None:
    folder = make_folder(tmp_path / "sweep", make_table(6))
    said = write_sweep_report(folder)
    assert "First of 48 configurations is credit=usage_aware" in said
    assert said.endswith(f"report: {folder / 'report.html'}")
    stored = json.loads((folder / "report.json").read_text())
    assert len(stored["ranking"]["rows"]) == 48 and stored["ranking"]["rows"][0]["rank"] == 1
    assert stored["ranking"]["rows"][0]["difference"]["estimate"] is None  # the reference; NaN is not JSON
    assert stored["runtime"]["better"] == "down" and len(stored["means"]["read_rate"]) == 48
    assert Walker((folder / "report.html").read_text()).tags.count("svg") == 2 + 4 + 1 + 1
    before = (folder / "report.json").read_bytes(), (folder / "report.html").read_bytes()
    write_sweep_report(folder)
    assert before == ((folder / "report.json").read_bytes(), (folder / "report.html").read_bytes())
    assert {path.name for path in folder.iterdir()} == {"results.parquet", "sweep.json", "report.json", "report.html"}


def test_the_report_command_knows_a_sweep(tmp_path, capsys) -> None:
    folder = make_folder(tmp_path / "sweep", make_table(6, usage_weights=(0.1,)))
    reference = "credit=reinforce,learning.sparsity_weight=0"
    main(["report", "--run", str(folder), "--measure", "runtime_seconds", "--reference", reference])
    said = capsys.readouterr().out
    assert "credit=reinforce, sparsity_weight=0" in said and "less is better" in said
    for arguments, expected in [
        (["--run", str(folder), "--measure", "luck"], "lts: measure: expected one of reward"),
        (["--run", str(tmp_path / "absent"), "--measure", "reward"], "--measure and --reference are for sweeps"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            main(["report", *arguments])
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and error.count("\n") == 1 and expected in error


def test_what_is_not_there_yet_or_broken_is_one_line(tmp_path) -> None:
    assert not is_sweep(tmp_path)
    with pytest.raises(UserError, match=r"sweep\.json: no such file"):
        read_sweep(tmp_path)
    folder = make_folder(tmp_path / "sweep", make_table(1))
    assert is_sweep(folder)
    (folder / "results.parquet").write_bytes(b"PAR1 half a file")
    with pytest.raises(UserError, match=r"results\.parquet: not a readable Parquet file"):
        write_sweep_report(folder)
    (folder / "results.parquet").unlink()
    with pytest.raises(UserError, match="no results yet; run the same `lts sweep` again"):
        write_sweep_report(folder)
    (folder / "sweep.json").write_text("[]")
    with pytest.raises(UserError, match="expected an object"):
        write_sweep_report(folder)
    assert {path.name for path in folder.iterdir()} == {"sweep.json"}


def test_two_numeric_fields_make_heat_maps_and_one_makes_curves() -> None:
    maps = page(make_table(6))
    assert "darker is better" in maps and maps.count("usage_weight against sparsity_weight") == 4
    curves = page(make_table(6, usage_weights=(0.1,)))
    assert "a line for each of the other settings" in curves
    chart = re.search(r'<svg role="img" aria-label="reward over sparsity_weight, 16 points".*?</svg>', curves, re.S)
    assert chart and chart[0].count("data-series") == 8 and chart[0].count("<circle") == 16
    words = page(make_table(6, usage_weights=(0.1,), sparsity_weights=(0.1,)))
    assert "over the settings" not in words and "reward against runtime" in words


def test_scattered_numbers_make_clouds() -> None:
    rows = [(0.01 * number, 0.02 * (number * 7 % 12), seed) for number in range(12) for seed in range(6)]
    table = {"a.x": [r[0] for r in rows], "a.y": [r[1] for r in rows], "seed": [r[2] for r in rows]}
    table["reward"] = [x + 0.01 * seed for x, _, seed in rows]
    markup = page(table, fields=["a.x", "a.y"], measures=["reward"], side="text")
    assert "A point per configuration" in markup
    assert "reward over x, 12 points" in markup and "reward over y, 12 points" in markup
    assert "simulated" not in markup and "against runtime" not in markup
    assert "Other measures" not in markup


def test_one_configuration_and_missing_values_make_a_page() -> None:
    table = make_table(6, usage_weights=(0.1,), sparsity_weights=(0.1,))
    table["reward"][7] = math.nan
    table["runtime_seconds"] = [math.nan] * 24
    markup = page(table)
    assert "1 not a number" in markup and "counts 5 of 6 seeds" in markup and "against runtime" not in markup
    Walker(markup)
    alone = page({name: column[:6] for name, column in make_table(6).items()})
    assert "One configuration was run" in alone and "Intervals" not in alone
    Walker(alone)


def test_long_sweeps_are_cut_and_say_so() -> None:
    weights = tuple(number / 100 for number in range(20))
    markup = page(make_table(1, sparsity_weights=weights, usage_weights=(0.0,)))
    assert "30 further rows are in report.json" in markup
    assert len(re.findall("<tr", markup)) == 2 * (1 + 50)


def test_hostile_names_stay_texts_and_the_network_is_left_alone() -> None:
    table = make_table(5, sparsity_weights=(0.1,))
    table["credit"] = [HOSTILE if name == "reinforce" else name for name in table["credit"]]
    markup = page({**table, HOSTILE: [1.0] * 60}, measures=[*MEASURES, HOSTILE], versions={HOSTILE: HOSTILE})
    walker = Walker(markup)
    assert walker.tags.count("script") == 1 and "\x00" not in markup
    assert any("<script>alert(1)</script>" in text for text in walker.texts)
    assert not re.search(r"https?://|@import|url\(", markup)


def test_points_lie_where_they_should() -> None:
    def exactly(value: float) -> Interval:
        return Interval(value, math.nan, math.nan)

    points = [Point(exactly(x), exactly(y)) for x, y in ((0.0, 1.0), (1.0, 2.0), (4.0, math.nan), (2.0, 3.0))]
    chart = point_chart([PointSeries("a", points)], Frame("t", "x", 460, 278))
    # x 0 to 2 on 70 to 262; y ticks 1 to 3 on 234 to 34; the point without a value is left out
    assert re.findall(r'cx="(.*?)" cy="(.*?)"', chart) == [("70.0", "234.0"), ("166.0", "134.0"), ("262.0", "34.0")]
    assert point_chart([PointSeries("a", points[2:3])], Frame("t", "x")) == ""
    wide = [Point(exactly(x), exactly(1.0)) for x in (0.0, 0.001, 1.0)]  # evenly spaced: 0.001 would be invisible
    chart = point_chart([PointSeries("a", wide)], Frame("t", "x", 460), joined=True)
    assert re.findall(r'cx="(.*?)"', chart) == ["70.0", "166.0", "262.0"]
    powers = [Point(exactly(x), exactly(1.0)) for x in (0.01, 0.1, 1.0)]  # logarithmic where most are small
    chart = point_chart([PointSeries("a", powers)], Frame("t", "x", 460))
    assert re.findall(r'cx="(.*?)"', chart) == ["70.0", "166.0", "262.0"]
    assert re.findall(r">([0-9.]+)<", chart)[-7:] == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    even = [Point(exactly(x), exactly(1.0)) for x in (0.01, 0.505, 1.0)]
    assert re.findall(r'cx="(.*?)"', point_chart([PointSeries("a", even)], Frame("t", "x", 460))) == [
        "70.0",
        "166.0",
        "262.0",
    ]


@pytest.mark.parametrize("darker_is_more", [True, False])
def test_the_best_cell_is_the_darkest(darker_is_more: bool) -> None:
    cells = {(0, 0): HeatCell(1.0, "1", ""), (1, 0): HeatCell(2.0, "2", ""), (0, 1): HeatCell(math.nan, "–", "")}
    markup = heat_map(
        cells,
        HeatAxes(
            title="t",
            x_labels=["a", "b"],
            y_labels=["c", "d"],
            x_title="x",
            y_title="y",
            bounds=(1.0, 2.0),
            darker_is_more=darker_is_more,
        ),
    )
    red = [int(one, 16) for one in re.findall(r'rx="2" fill="#(..)', markup)]
    assert red[2] == 255 and (red[0] > red[1]) == darker_is_more
    assert markup.count("<g data-tip") == 3  # the fourth was not run


def test_learning_curves_of_the_first_configurations(tmp_path) -> None:
    table = make_table(6, sparsity_weights=(0.0,), usage_weights=(0.1,))
    folder = make_folder(tmp_path / "sweep", table)
    without = page(table)
    places = [place for place in range(len(table["seed"])) for _ in range(300)]
    curves = {name: [table[name][place] for place in places] for name in (*FIELDS, "seed")}
    curves["update"] = list(range(300)) * len(table["seed"])
    seeds = [table["seed"][place] for place in places]
    curves["credit/return_mean"] = [update / 300 + seed for update, seed in zip(curves["update"], seeds, strict=True)]
    curves["learning/loss"] = [math.nan] * len(places)
    parquet.write_table(pa.table(curves), folder / "curves.parquet")
    write_sweep_report(folder)
    html = (folder / "report.html").read_text()
    walked = Walker(html)
    assert walked.tags.count("svg") == Walker(without).tags.count("svg") + 1  # a curve without a number has no chart
    assert "Learning curves" in walked.texts and "credit/return_mean" in walked.texts
    # The mean over seeds 0 to 5 is 2.5 more than that of one: it ends at 299 / 300 + 2.5.
    assert walked.texts.count("3.5") >= 4
