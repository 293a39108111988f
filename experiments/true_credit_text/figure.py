"""Left: seconds that single admissions save, by how many read them. Right: how well each scheme orders admissions."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from admissions import Admissions

HINDSIGHT = (
    "counterfactual",
    "difference_rewards",
    "one single flip",
)  # the truth itself; no scheme of the rollout alone
LIMITS = (-120.0, 120.0)  # seconds shown


def picture(measured: Sequence[Admissions], found: Sequence[Any]) -> bytes:
    """PNG of the first policy's admissions: the distribution of their worth, and rank correlations within rollouts."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    rows = measured[0]
    for count, color, label in ((0, "#999999", "nobody"), (1, "#3377bb", "one team"), (2, "#cc5522", "two teams")):
        worth = np.sort(rows.seconds[rows.num_other_readers == count])
        left.plot(worth, np.arange(1, len(worth) + 1) / len(worth), color=color, label=f"{label} ({len(worth)})")
    left.axvline(0.0, color="grey", linewidth=0.8)
    left.set_xlim(*LIMITS)
    left.set_xlabel("seconds that the admission saved")
    left.set_ylabel("share of admissions that saved less")
    left.set_title(f"What one admission is worth (simulated, {rows.policy})", fontsize=10)
    left.legend(title="pulled by", fontsize=8)
    chosen = [one for one in found if one.policy == rows.policy and one.scheme not in HINDSIGHT]
    order = [one for one in chosen if one.effect == "seconds"]
    order.sort(key=lambda one: np.nan_to_num(one.within.rank_correlation.estimate, nan=-2.0))
    place = {one.scheme: number for number, one in enumerate(order)}
    for effect, color, shift in (("seconds", "#3377bb", 0.12), ("reward", "#cc5522", -0.12)):
        for one in (one for one in chosen if one.effect == effect):
            bounds, height = one.within.rank_correlation, place[one.scheme] + shift
            if np.isnan(bounds.estimate) and effect == "seconds":
                right.text(0.005, place[one.scheme], "one number per rollout", fontsize=7, color="grey", va="center")
            right.plot([bounds.low, bounds.high], [height, height], color=color, linewidth=1.5)
            right.plot(bounds.estimate, height, "o", color=color, markersize=5)
        right.plot([], [], "o-", color=color, label=f"effect on {effect}")
    right.set_ylim(-0.6, len(order) - 0.4)
    right.axvline(0.0, color="grey", linewidth=0.8)
    right.set_yticks(range(len(order)), [one.scheme for one in order], fontsize=8)
    right.set_xlabel("rank correlation with the true effect, within rollouts (95 % over tasks)")
    right.set_title("How well credit orders the admissions of one rollout", fontsize=10)
    right.legend(fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    pyplot.close(figure)
    return buffer.getvalue()
