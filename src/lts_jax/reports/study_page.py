"""A study's results as a page: the table, scores with intervals, and learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame
from lts_jax.reports.charts import Dot, DotAxis, dot_plot
from lts_jax.reports.page import bullets, grid, opening, page, section, stack, table
from lts_jax.reports.palette import ACCENT, INK
from lts_jax.reports.point_chart import Point, PointSeries, point_chart
from lts_jax.reports.study_text import foot, headline, interval_of, number_of
from lts_jax.reports.svg import Figure, quote
from lts_jax.reports.text import interval, number

NUM_POINTS = 24  # of the longest learning curve


def study_html(document: Mapping[str, Any]) -> str:
    """The whole page as text, of what `study_document` gives."""
    pairs = [
        f"{pair['line']} over {pair['against']}: {interval(interval_of(pair['score']), '+.3f')}"
        for pair in document["pairs"]
    ]
    sections = [
        opening(document["title"], headline(document), [foot(document)]),
        section("Arms and rules", _table(document)),
        section("Figures", grid([score_plot(document), learning_curves(document)], pair=True)),
        section("Differences between arms, paired over seeds", bullets(pairs)),
        section("Arms", bullets([f"{line['name']}: {line['told']}" for line in document["lines"] if line["is_arm"]])),
    ]
    return page(document["title"], sections)


def score_plot(document: Mapping[str, Any]) -> Figure:
    """Scores with intervals over seeds, beside chance; arms in colour."""
    dots = [
        Dot(
            line["name"],
            interval_of(line["score"]),
            level=document["chance"],
            color=ACCENT if line["is_arm"] else INK,
            text=interval(interval_of(line["score"])),
            tip=line["told"] or line["name"],
        )
        for line in document["lines"]
    ]
    return dot_plot(dots, DotAxis("answers right (simulated)", label_width=190, plot_width=250, text_width=130))


def learning_curves(document: Mapping[str, Any]) -> Figure:
    """Mean return of the training rollouts over updates, of every arm."""
    series = []
    size = -(-max(len(line["curve"] or ()) for line in document["lines"]) // NUM_POINTS)  # the same for all: one scale
    for line in document["lines"]:
        curve = line["curve"]
        if curve is None:
            continue
        means = [(first + size / 2, _mean(curve[first : first + size])) for first in range(0, len(curve), size)]
        series.append(PointSeries(line["name"], [Point(_exactly(x), _exactly(y)) for x, y in means]))
    frame = Frame("reward of a training rollout, mean over seeds", "updates, of all phases one after another", 620, 300)
    return point_chart(series, frame, joined=True, bars=False)


def _table(document: Mapping[str, Any]) -> str:
    heads = [("line", ""), ("score", "num"), (f"above {quote(document['yardstick'])}", "num"), ("below oracle", "num")]
    heads += [(quote(head), "num") for head in document["heads"].values()]
    rows = []
    for line in document["lines"]:
        cells = [quote(line["name"])]
        cells.append(stack(interval_of(line["score"]), ".3f"))
        cells += [stack(interval_of(line[name]), "+.3f") for name in ("above_yardstick", "below_oracle")]
        cells += [number(number_of(line["shown"][name]), ".2f", "–") for name in document["heads"]]
        rows.append((cells, line["is_arm"]))
    return table(heads, rows)


def _exactly(value: float) -> Interval:
    return Interval(value, value, value)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
