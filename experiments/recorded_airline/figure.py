"""Saved seconds against stored share, as PNG."""

import io
from collections.abc import Sequence

from lts_jax.reports.palette import name_colors

FAMILIES = {
    "learned": "o",
    "handwritten": "*",
    "random": "x",
    "recency": "^",
    "similarity": "s",
    "all": "D",
    "none": "P",
}
"""Marker of each family of policies, found by how a policy's name begins."""


def picture(rows: Sequence[dict[str, object]], tool_seconds: float) -> bytes:
    """Seconds that all teams together saved, with 95 % intervals over tasks, against the stored share of steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    colors = name_colors(FAMILIES)
    for family, marker in FAMILIES.items():
        chosen = [row for row in rows if str(row["policy"]).startswith(family)]
        stored = [100 * row["admission_fraction"] for row in chosen]
        saved = [row["team_saved_seconds"] for row in chosen]
        bounds = [row["team_saved_seconds_interval"] for row in chosen]
        lengths = [
            [middle - low for middle, (low, _) in zip(saved, bounds, strict=True)],
            [high - middle for middle, (_, high) in zip(saved, bounds, strict=True)],
        ]
        axes.errorbar(
            stored,
            saved,
            yerr=lengths,
            fmt=marker,
            label=family,
            capsize=2,
            markersize=7,
            linewidth=1,
            alpha=0.8,
            color=colors[family],
        )
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.set_xlabel("stored share of steps, %")
    axes.set_ylabel("seconds saved by all four teams together")
    axes.set_title(
        f"Held-out airline runs: what sharing saves (latency model, tool call {tool_seconds:g} s; 95 % over tasks)",
        fontsize=10,
    )
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    pyplot.close(figure)
    return buffer.getvalue()
