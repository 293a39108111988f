"""The main comparison, told: tables with intervals over tasks and controllers, a figure, the paper's claims.

python experiments/main_comparison/tables.py          # seconds; from what `run.py` stored
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parent))

from config import GAIN, LEARNED, LINES, OURS, PAPER, REFERENCE, SIDE_LINES, Config

from lts_jax.evaluation.auc import auc_interval
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame
from lts_jax.reports.point_chart import Origin, Point, PointSeries, point_chart
from lts_jax.reports.svg import save_figure
from lts_jax.storage import read_json, write_json, write_text


@dataclass(frozen=True)
class Line:
    """The rollouts of a line by (task, rollout number)."""

    cells: dict[tuple[str, int], dict[str, Any]]

    @property
    def rate(self) -> float:
        """Admitted steps over decisions."""
        return _total(self, "admitted") / max(1, _total(self, "decisions"))

    @property
    def read_rate(self) -> float:
        """Entries that another team pulled, over entries."""
        return _total(self, "pulled") / max(1, _total(self, "admitted"))


def read_lines(folder: Path, worlds: Sequence[int]) -> dict[str, Line]:
    """Every line that is whole: all test worlds, the same parts in each."""
    found = {}
    for name in (*LINES, *SIDE_LINES):
        cells: dict[tuple[str, int], dict[str, Any]] = {}
        for part in range(99):
            paths = [folder / "rows" / f"{name}_{seed}_{part}.json" for seed in worlds]
            if not all(path.exists() for path in paths):
                break
            for path in paths:
                cells |= {(row["task"], row["number"]): row for row in read_json(path)}
        if cells:
            found[name] = Line(cells)
    return found


def differences(lines: dict[str, Line], line: str, rival: str) -> dict[str, Interval]:
    """A line against a rival, paired over tasks and rollout numbers.

    `saved`: 100 (seconds of the rival - seconds of the line) / seconds of the reference; `score`: the line's less the
    rival's; `gain`: score + .2 saved / 100.
    """
    reference = lines[REFERENCE].cells
    both = [cell for cell in lines[line].cells if cell in lines[rival].cells and cell in reference]
    column = {
        (name, key): np.array([lines[name].cells[cell][key] for cell in both], float)
        for name in (line, rival, REFERENCE)
        for key in ("score", "seconds")
    }
    controllers = [max(lines[name].cells[cell]["controller"] for name in (line, rival)) for cell in both]
    tasks = [task for task, _ in both]
    base = column[REFERENCE, "seconds"].mean()
    seconds = column[rival, "seconds"] - column[line, "seconds"]
    share = seconds.mean() / base
    saved = (seconds - share * column[REFERENCE, "seconds"]) / base  # what each rollout moves the ratio by
    score = column[line, "score"] - column[rival, "score"]
    return {
        "saved": clustered(100 * saved, tasks, controllers, 100 * share),
        "score": clustered(score - score.mean(), tasks, controllers, float(score.mean())),
        "gain": clustered(score - score.mean() + GAIN * saved, tasks, controllers, float(score.mean() + GAIN * share)),
    }


def clustered(influence: np.ndarray, tasks: Sequence[str], controllers: Sequence[int], estimate: float) -> Interval:
    """95 % for a mean whose rollouts share tasks and, where several were trained, controllers.

    Variance by two-way clustering, V = V_tasks + max(0, V_controllers - V_cells) (Cameron, Gelbach and Miller 2011),
    each with its factor n / (n - 1); Student's t with Satterthwaite's degrees of freedom. `evaluation.two_way` asks for
    every controller on every task; here each task meets two of five.
    """
    from scipy.special import stdtrit

    by_task, num_tasks = _variance(influence, tasks)
    parts = [(by_task, num_tasks - 1)]
    if len(set(controllers)) > 1:
        by_controller, num_controllers = _variance(influence, controllers)
        cells, _ = _variance(influence, list(zip(tasks, controllers, strict=True)))
        parts.append((max(0.0, by_controller - cells), num_controllers - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / max(sum(part**2 / degrees for part, degrees in parts), 1e-300)
    half = float(stdtrit(max(freedom, 1.0), 0.975)) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half)


def _variance(influence: np.ndarray, clusters: Sequence[Any]) -> tuple[float, int]:
    place = {one: at for at, one in enumerate(dict.fromkeys(clusters))}
    sums = np.bincount([place[one] for one in clusters], influence)
    return float(np.sum(sums**2) / len(influence) ** 2 * len(sums) / max(1, len(sums) - 1)), len(sums)


def _total(line: Line, key: str) -> float:
    return sum(row[key] for row in line.cells.values())


def _mean(line: Line, key: str) -> float:
    return _total(line, key) / len(line.cells)


def main_table(lines: dict[str, Line]) -> str:
    """One row a line, against none."""
    head = "| line | score | vs none | seconds | saved % | gain | admitted | read rate |\n" + 8 * "|---" + "|"
    rows = []
    for name, line in lines.items():
        cells = [name, f"{_mean(line, 'score'):.3f}", "", f"{_mean(line, 'seconds'):.0f}", "", "", "", ""]
        if name != REFERENCE:
            found = differences(lines, name, REFERENCE)
            cells[2], cells[4], cells[5] = (
                said(found["score"], "+.3f"),
                said(found["saved"], "+.1f"),
                said(found["gain"], "+.3f"),
            )
            cells[6], cells[7] = f"{line.rate:.2f}", f"{line.read_rate:.2f}"
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([head, *rows])


def rival_table(lines: dict[str, Line]) -> str:
    """Ours and the paper's against their rivals."""
    head = "| line | against | saved, points of none's time | score | gain |\n|---|---|---|---|---|"
    pairs = (
        [
            (OURS, rival)
            for rival in (
                "coin_as_admission_value",
                "similarity_best",
                "similarity_0.8",
                PAPER,
                "all",
                "judge",
                "recency",
                "oracle_right",
                "oracle_any",
            )
        ]
        + [(PAPER, rival) for rival in ("coin_as_lts", "similarity_best", "all")]
        + [("oracle_right", "coin_as_oracle")]
    )
    rows = []
    for line, rival in pairs:
        if line in lines and rival in lines:
            found = differences(lines, line, rival)
            cells = [
                line,
                rival,
                said(found["saved"], "+.1f"),
                said(found["score"], "+.3f"),
                said(found["gain"], "+.3f"),
            ]
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([head, *rows])


MEANINGS = {
    REFERENCE: "none: three teams, nothing shared",
    OURS: "**admission_value (ours)**",
    PAPER: "lts: the paper's method",
    "coin_as_admission_value": "a coin, as often as ours",
    "coin_as_lts": "a coin, as often as lts",
    "similarity_best": "similarity at its best threshold",
    "similarity_0.8": "similarity(threshold=0.8)",
    "all": "all: everything is shared",
    "recency": "recency: the newest ten keys",
    "judge": "judge: a language model decides",
    "orchestrator": "orchestrator: the team's own model decides",
    "oracle_right": "oracle: new right values",
    "oracle_any": "oracle: new values, right or wrong",
}


def short_cells(lines: dict[str, Line]) -> dict[str, list[str]]:
    """Score, time saved, gain and rate of every line, against none."""
    cells = {}
    for name in (name for name in MEANINGS if name in lines):
        score = f"{_mean(lines[name], 'score'):.3f}"
        if name == REFERENCE:
            cells[name] = [score, "reference", "", ""]
            continue
        found = differences(lines, name, REFERENCE)
        cells[name] = [score, said(found["saved"], "+.1f"), said(found["gain"], "+.3f"), f"{lines[name].rate:.2f}"]
    return cells


def short_table(worlds: dict[str, dict[str, Any]]) -> str:
    """Both worlds side by side, of the lines that both have."""
    names = [name for name in MEANINGS if all(name in stored["short"] for stored in worlds.values())]
    head = "| policy |" + "".join(f" {world}s: score | saved % | gain | admitted |" for world in worlds)
    rows = [
        "| " + " | ".join([MEANINGS[name], *(cell for one in worlds.values() for cell in one["short"][name])]) + " |"
        for name in names
    ]
    return "\n".join([head, "|---" * (1 + 4 * len(worlds)) + "|", *rows])


CLAIMS = (
    ("sharing everything saves time", "784 s for 1389, 967 for 1005", ("all", REFERENCE, "saved", 1)),
    ("and loses score", "-.010, -.037", ("all", REFERENCE, "score", -1)),
    ("the paper's controller saves time", "882 s for 1389, 792 for 1005", (PAPER, REFERENCE, "saved", 1)),
    ("and gains score", "+.027, +.012", (PAPER, REFERENCE, "score", 1)),
    ("it scores above sharing everything", "+.037, +.049", (PAPER, "all", "score", 1)),
    ("it scores above a model as judge", "+.010, +.033", (PAPER, "judge", "score", 1)),
    ("selective admission saves time (ours)", "", (OURS, REFERENCE, "saved", 1)),
    ("and gains score (ours)", "", (OURS, REFERENCE, "score", 1)),
    ("it scores above sharing everything (ours)", "", (OURS, "all", "score", 1)),
)
"""A claim of LTS (arXiv 2602.05965, tables 1 and 2, GPT-5.1), its figures on AssistantBench and GAIA, and what it
compares: line, rival, measure, sign."""


def claim_cells(lines: dict[str, Line]) -> list[list[str]]:
    """Of each claim what was found here, and whether it holds."""
    cells = []
    for _, _, (line, rival, measure, sign) in CLAIMS:
        if line not in lines or rival not in lines:
            cells.append(["", ""])
            continue
        found = differences(lines, line, rival)[measure]
        told = sign * found.low > 0 < sign * found.high, sign * found.low < 0 > sign * found.high
        verdict = "holds" if told[0] else "the contrary" if told[1] else "not resolved"
        cells.append([said(found, "+.1f" if measure == "saved" else "+.3f"), verdict])
    return cells


def claims_table(worlds: dict[str, dict[str, Any]]) -> str:
    """Each claim with the paper's figures, ours in each world, and whether it holds there."""
    head = "| claim | the paper |" + "".join(f" {world}s | |" for world in worlds)
    rows = [
        "| " + " | ".join([claim, figures, *(cell for one in worlds.values() for cell in one["claims"][place])]) + " |"
        for place, (claim, figures, _) in enumerate(CLAIMS)
    ]
    return "\n".join([head, "|---" * (2 + 2 * len(worlds)) + "|", *rows])


def ranking(lines: dict[str, Line]) -> dict[str, Interval]:
    """How well each trained controller ranks new right values first, on the held-out rollouts that were labelled."""
    found = {}
    for name in LEARNED:
        ranked = [
            (score, kind == "right value" and new, row["task"])
            for row in lines[name].cells.values()
            for score, kind, new in row.get("ranked", ())
        ]
        scores, labels, tasks = zip(*ranked, strict=True)
        found[name] = auc_interval(scores, labels, tasks)
    return found


def share_of_oracle(lines: dict[str, Line]) -> float:
    """Gain of ours over its coin, as a share of the gain of new right values over theirs."""
    ours = differences(lines, OURS, "coin_as_admission_value")["gain"].estimate
    return ours / differences(lines, "oracle_right", "coin_as_oracle")["gain"].estimate


def resolutions(lines: dict[str, Line]) -> dict[str, float]:
    """Smallest true differences between ours and similarity found with 80 % power: 2.8 standard errors."""
    found = differences(lines, OURS, "similarity_best")
    return {name: 2.8 / 1.96 * (found[name].high - found[name].low) / 2 for name in ("saved", "score")}


def figure(lines: dict[str, Line], path: Path) -> None:
    """Score against seconds; bars are intervals of the paired difference from none."""
    series = []
    for name, line in lines.items():
        x, y = _mean(line, "seconds"), _mean(line, "score")
        if name == REFERENCE:
            point = Point(Interval(x, math.nan, math.nan), Interval(y, math.nan, math.nan), name, True)
        else:
            found, base = differences(lines, name, REFERENCE), _mean(lines[REFERENCE], "seconds")
            wide = (found["saved"].high - found["saved"].low) / 200 * base
            tall = (found["score"].high - found["score"].low) / 2
            point = Point(Interval(x, x - wide, x + wide), Interval(y, y - tall, y + tall), name, name in LEARNED)
        series.append(PointSeries(name, [point]))
    origin = Origin(_mean(lines[REFERENCE], "seconds"), _mean(lines[REFERENCE], "score"), "faster and better")
    frame = Frame("mean score", "mean runtime, simulated seconds", 900, 480)
    save_figure(point_chart(series, frame, named=True, origin=origin), path)


def said(value: Interval, form: str) -> str:
    """An estimate with its interval."""
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"


def section(world: str, config: Config, folder: Path, lines: dict[str, Line]) -> str:
    """The tables of one world."""
    tasks, power = {task for task, _ in lines[REFERENCE].cells}, resolutions(lines)
    areas = " ".join(f"AUC of {name} for new right values: {said(one, '.3f')}." for name, one in ranking(lines).items())
    return "\n\n".join(
        [
            f"## World of {world}s ({len(tasks)} held-out tasks of {len(config.test_worlds)} worlds, "
            f"{len(lines[REFERENCE].cells) // len(tasks)} rollouts each; simulated)",
            main_table(lines),
            rival_table(lines),
            f"Similarity threshold chosen on validation tasks: {read_json(folder / 'threshold.json')['best']}; "
            f"price of an admission for lts: {read_json(folder / 'price.json')['best']}. {areas} "
            f"Share of the oracle's gain over its coin: {share_of_oracle(lines):.2f}. "
            f"Smallest resolvable difference between ours and similarity: {power['saved']:.1f} % time, "
            f"{power['score']:.3f} score.",
        ]
    )


def means(line: Line) -> dict[str, float]:
    """What the figures of a line are made of."""
    names = ("score", "seconds", "tokens")
    own = {name: _mean(line, name) for name in names}
    return own | {"admitted": line.rate, "read_rate": line.read_rate, "num_rollouts": len(line.cells)}


def main(config: Config) -> None:
    """Tables and figures of the worlds that were run here; those of the other stay as they are stored."""
    worlds: dict[str, dict[str, Any]] = {}
    for world in ("omission", "commission"):
        folder, stored = config.runs / world, config.results / f"{world}.json"
        lines = read_lines(folder, config.test_worlds)
        if REFERENCE in lines and OURS in lines:
            figure(lines, config.results / f"{world}.png")
            found = {
                "text": section(world, config, folder, lines),
                "lines": {n: means(one) for n, one in lines.items()},
            }
            write_json(stored, found | {"short": short_cells(lines), "claims": claim_cells(lines)})
        if stored.exists():
            worlds[world] = read_json(stored)
    texts = [one["text"] for one in worlds.values()]
    printed = "\n\n".join([*texts, claims_table(worlds), short_table(worlds)])
    print(printed)
    write_text(config.results / "tables.md", printed + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
