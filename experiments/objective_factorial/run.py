"""Which of the objective's four parts does what? Reads the sweep of the README, prints and stores effects, draws them.

    python experiments/objective_factorial/run.py --sweep runs/objective_factorial

An effect is a difference of means over all cells: on minus off for a part, and for an interaction of two parts how much
larger the first one's effect is with the second on than off, halved. Seeds share tasks and random numbers, so every
effect is one number per seed; intervals and p-values are over seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from lts_jax.evaluation.ranking import pivot
from lts_jax.evaluation.statistics import (
    Interval,
    holm,
    mean_interval,
    minimum_detectable_effect,
    sign_flip_p_values,
)
from lts_jax.reports.report import json_plain
from lts_jax.reports.text import p_text
from lts_jax.storage import read_json, write_json, write_text

PARTS = {
    "group-relative": ("credit", {"usage_aware": 1, "reinforce_usage": -1}),
    "usage bonus": ("credit.usage_weight", {0.5: 1, 0.0: -1}),
    "R_first": ("learning.first_weight", {1.0: 1, 0.0: -1}),
    "sparsity": ("learning.sparsity_weight", {0.25: 1, 0.0: -1}),
}
"""Field and values of each part: 1 on, -1 off."""

MEASURES = ("reward", "runtime_seconds", "admission_fraction", "read_rate")


@dataclass(frozen=True, slots=True)
class Config:
    """Where the sweep lies, and where the results go."""

    sweep: Path = Path("runs/objective_factorial")
    results: Path = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Effect:
    """Of one contrast on one measure; a part on against off, or what the full objective loses without a part."""

    measure: str
    contrast: str
    size: Interval
    p_holm: float  # adjusted for all contrasts of one table on this measure
    resolution: float  # smallest true effect found with 80 % power at 5 %, not adjusted
    num_seeds: int


def signs_of(setting: dict[str, Any]) -> tuple[int, ...]:
    """1 or -1 for each part, in the order of PARTS."""
    return tuple(levels[setting[name]] for name, levels in PARTS.values())


def factorial_contrasts(sign_cp: np.ndarray) -> dict[str, np.ndarray]:
    """Weights over cells, f64[C] each: main effects, then interactions, of the parts that are not on in all cells."""
    names, weights = list(PARTS), {}
    varied = [number for number in range(len(names)) if len(set(sign_cp[:, number].tolist())) > 1]
    for count in range(1, len(varied) + 1):
        for chosen in combinations(varied, count):
            product = np.prod(sign_cp[:, list(chosen)], axis=1)
            weights[" x ".join(names[one] for one in chosen)] = product / (len(sign_cp) / 2)
    return weights


def ablation_contrasts(sign_cp: np.ndarray) -> dict[str, np.ndarray]:
    """Weights over cells: the full objective without one part, minus the full objective."""
    place = {tuple(signs): number for number, signs in enumerate(sign_cp.tolist())}
    weights = {}
    for number, name in enumerate(PARTS):
        without = tuple(-1 if other == number else 1 for other in range(len(PARTS)))
        if without not in place:
            continue
        weight_c = np.zeros(len(sign_cp))
        weight_c[place[without]], weight_c[place[1, 1, 1, 1]] = 1.0, -1.0
        weights[f"without {name}"] = weight_c
    return weights


def effects(measure: str, value_cs: np.ndarray, weights: dict[str, np.ndarray]) -> list[Effect]:
    """Every contrast on one measure. A seed counts if all cells that the contrast weighs have a value."""
    rows = np.array([_per_seed(value_cs, weight_c) for weight_c in weights.values()])
    p_holm_e = holm(sign_flip_p_values(rows, seed=(0, rows.shape[1])))
    seeds = [str(seed) for seed in range(value_cs.shape[1])]
    return [
        Effect(
            measure,
            name,
            mean_interval(row, seeds),
            float(p_holm),
            minimum_detectable_effect(row, seeds),
            int(np.isfinite(row).sum()),
        )
        for name, row, p_holm in zip(weights, rows, p_holm_e, strict=True)
    ]


def _per_seed(value_cs: np.ndarray, weight_c: np.ndarray) -> np.ndarray:
    weighed = weight_c != 0
    return weight_c[weighed] @ value_cs[weighed]


def effect_table(found: Sequence[Effect], digits: int) -> str:
    """One line per contrast of one measure; * marks Holm-adjusted p < .05."""
    lines = [f"{found[0].measure:58}{'effect':>32}{'p':>8}{'resolvable':>12}{'seeds':>7}"]
    for one in found:
        size = f"{one.size.estimate:+.{digits}f} [{one.size.low:+.{digits}f}, {one.size.high:+.{digits}f}]"
        told = "*" if one.p_holm < 0.05 else " "
        lines.append(
            f"{one.contrast:58}{size:>31}{told}{p_text(one.p_holm):>8}{one.resolution:>12.{digits}f}{one.num_seeds:>7}"
        )
    return "\n".join(lines)


def cell_table(sign_cp: np.ndarray, mean_cm: np.ndarray) -> str:
    """Means of all cells, the full objective first."""
    lines = ["".join(f"{name:>16}" for name in PARTS) + "".join(f"{name:>20}" for name in MEASURES)]
    for row in np.lexsort(-sign_cp.T[::-1]):
        marks = "".join(f"{'on' if sign > 0 else '-':>16}" for sign in sign_cp[row])
        lines.append(marks + "".join(f"{value:>20.3f}" for value in mean_cm[row]))
    return "\n".join(lines)


def main(config: Config) -> None:
    """Effects on every measure."""
    from pyarrow.parquet import read_table

    table = read_table(config.sweep / "results.parquet").to_pydict()
    fields = read_json(config.sweep / "sweep.json")["fields"]
    # Where nothing was admitted there is nothing to be read.
    pairs = zip(table["read_rate"], table["admission_fraction"], strict=True)
    table["read_rate"] = [rate if admitted > 0 else float("nan") for rate, admitted in pairs]
    found: list[Effect] = []
    texts, means, every_cp = [], [], np.empty((0, 0))
    for measure in MEASURES:
        settings, _, value_cs, _ = pivot(table, measure, fields)
        sign_cp = np.array([signs_of(setting) for setting in settings])
        every_cp = sign_cp
        means.append([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in value_cs])
        digits = 1 if "seconds" in measure else 3
        if measure == "read_rate":  # without the bonus some cells store nothing, so there is no rate to compare
            kept = sign_cp[:, list(PARTS).index("usage bonus")] > 0
            sign_cp, value_cs = sign_cp[kept], value_cs[kept]
        for weights in (ablation_contrasts(sign_cp), factorial_contrasts(sign_cp)):
            made = effects(measure, value_cs, weights)
            texts.append(effect_table(made, digits))
            found += made
    text = "\n\n".join([cell_table(every_cp, np.array(means).T), *texts])
    print(text)
    write_text(config.results / "tables.txt", text + "\n")
    write_json(config.results / "effects.json", json_plain(found))
    save_png(found, config.results / "effects.png")


def save_png(found: Sequence[Effect], path: Path) -> None:
    """Main effects and interactions of two, a panel per measure; blue ones are told from zero."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    shown = [one for one in found if one.contrast.count(" x ") < 2 and not one.contrast.startswith("without")]
    names = list(dict.fromkeys(one.contrast for one in shown))
    for axes, measure in zip(figure.subplots(1, len(MEASURES), sharey=True), MEASURES, strict=True):
        for one in (one for one in shown if one.measure == measure):
            color, place = ("#0072b2" if one.p_holm < 0.05 else "#8a9299"), names.index(one.contrast)
            axes.plot([one.size.low, one.size.high], [place, place], color=color)
            axes.plot(one.size.estimate, place, "o", color=color, markersize=4)
        axes.axvline(0.0, color="#1f2933", linewidth=0.8)
        axes.set_xlabel(f"effect on {measure}")
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(len(names) - 0.5, -0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")


if __name__ == "__main__":
    main(tyro.cli(Config))
