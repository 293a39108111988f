"""Names beside points cover nothing where there is room; a figure becomes files and a picture in a notebook."""

import math
import sys
from xml.etree import ElementTree

import pytest
from fake_rollouts import make_rollouts
from fake_sweeps import FIELDS, make_table

from lts_jax.evaluation.ranking import rank
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import Point, PointSeries, free_offsets, point_chart
from lts_jax.reports.report import build_report
from lts_jax.reports.svg import save_figure
from lts_jax.reports.sweep_page import level_plot
from lts_jax.reports.tradeoff import tradeoff_chart


def boxes_of(labels):
    return [
        (x + dx, y + dy - 10, x + dx + width, y + dy + 3)
        for (x, y, width), (dx, dy) in zip(labels, free_offsets(labels), strict=True)
    ]


def test_a_lone_label_stands_right_beside_its_point():
    assert free_offsets([(100.0, 100.0, 30.0)]) == [(9.0, 4.0)]
    assert free_offsets([(100.0, 100.0, 30.0)], 120.0) == [(-39.0, 4.0)]  # no room on the right


def test_crowded_labels_do_not_cover_each_other_or_a_point():
    labels = [(100.0 + 3 * place, 100.0 + place, 40.0) for place in range(4)]
    boxes = boxes_of(labels)
    points = [(x - 1, y - 1, x + 1, y + 1) for x, y, _ in labels]
    for index, one in enumerate(boxes):
        for other in boxes[:index] + points:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_every_policy_is_named_in_the_tradeoff():
    report = build_report(make_rollouts(6, 1))
    drawing = tradeoff_chart(report)
    assert all(f">{row.policy}</text>" in drawing for row in report.rows)
    assert drawing.count("<circle") == len(report.rows)
    nowhere = Point(Interval(math.nan, math.nan, math.nan), Interval(1.0, 1.0, 1.0))
    known = Point(Interval(2.0, 1.0, 3.0), Interval(1.0, 1.0, 1.0))
    series = [PointSeries("lost", [nowhere]), PointSeries("found", [known])]
    drawing = point_chart(series, Frame("t", "x"), named=True)
    assert ">found</text>" in drawing and ">lost</text>" not in drawing


def test_a_figure_is_a_document_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    figure = level_plot(rank(make_table(6), "reward", FIELDS))
    assert save_figure(figure, tmp_path / "ranking.png") == (tmp_path / "ranking.svg",)
    drawing = ElementTree.parse(tmp_path / "ranking.svg").getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(drawing.findall(".//{*}circle")) == 40
    assert repr(figure).startswith("<figure of ")
    assert figure._repr_svg_() == (tmp_path / "ranking.svg").read_text()


def test_the_picture_is_written(tmp_path):
    pytest.importorskip("resvg_py", reason="pictures need the notebook extra")
    drawing, picture = save_figure(tradeoff_chart(build_report(make_rollouts(6, 1))), tmp_path / "tradeoff")
    assert (drawing.name, picture.name) == ("tradeoff.svg", "tradeoff.png")
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 10_000
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    assert (width, height) == (2 * (860 + 24), 2 * (420 + 24))
