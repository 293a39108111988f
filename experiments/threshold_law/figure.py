"""The law in three panels: the table of logits, admission against usage in the simulator, and where it switches."""

from pathlib import Path
from typing import Any

import numpy as np
from config import LawSettings
from switch import Switch

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#1f2933")


def save_law_png(
    kept: dict[str, Any], found: list[Switch], law: LawSettings, sums: dict[str, np.ndarray], path: Path
) -> None:
    """Draw and write the figure; `sums` are those of the main variant."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    for color, (name, one) in zip(COLORS, kept.items(), strict=False):
        left.plot(one["usage"], one["probability"], color=color, linewidth=1.5, label=name)
    left.axvline(0.3, color="#5f6b6d", linestyle=":")
    left.set(
        xlabel="usage probability u", ylabel="Pr(admit) after training", title="a table of logits, lambda / beta .3"
    )
    left.legend(frameon=False, fontsize=7)
    for color, (place, ratio) in zip(COLORS, enumerate(law.ratios), strict=False):
        total = {name: value[place].sum(axis=0) for name, value in sums.items()}
        count = np.maximum(total["count"], 1)
        paid, admitted = total["is_paid"] / count, total["admit_probability"] / count
        middle.scatter(paid, admitted, s=10 + 120 * count / count.sum(), color=color, alpha=0.8, label=f"{ratio:g}")
        middle.axvline(ratio, color=color, linewidth=0.8, linestyle=":")
    middle.set(
        xlabel="Pr(used and R > 0 | admitted) of a kind of step", ylabel="Pr(admit)", title="LTS, beta .5, simulated"
    )
    middle.legend(frameon=False, fontsize=7, title="lambda / beta", title_fontsize=7)
    for color, variant in zip(COLORS, dict.fromkeys(one.variant for one in found), strict=False):
        drawn = [one for one in found if one.variant == variant and np.isfinite(one.ratio.estimate)]
        for number, one in enumerate(drawn):
            whole = one.kind == "all steps"
            label = variant if number == 0 else None
            y, x = one.ratio, one.paid
            right.plot([x.low, x.high], [y.estimate] * 2, color=color, linewidth=0.8, alpha=0.6)
            right.plot([x.estimate] * 2, [y.low, y.high], color=color, linewidth=0.8, alpha=0.6)
            right.plot(
                x.estimate, y.estimate, "D" if whole else "o", color=color, markersize=7 if whole else 3, label=label
            )
    ends = [law.ratios[0], law.ratios[-1]]
    right.plot(ends, ends, color="#5f6b6d", linestyle=":", linewidth=1)
    right.set(
        xlabel="Pr(used and R > 0 | admitted) there", ylabel="lambda / beta at which half is admitted",
        title="switch points; diamonds: all steps",
    )  # fmt: skip
    right.legend(frameon=False, fontsize=7)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")
