"""Colours of pages and figures: a name has the same one everywhere.

Those of our own lines are fixed; the first of them are Okabe and Ito's (2008), told apart by colour-blind readers too.
"""

from collections.abc import Collection
from zlib import crc32

INK, SOFT, FAINT, ACCENT = "#1d2329", "#66707a", "#e3e6e9", "#0072b2"

FIXED = {
    "admission_value": ACCENT,
    "lts": "#b2182b",
    "learned": ACCENT,  # as rollouts call it
    "m1_parallel": INK,
    "none": INK,  # as rollouts call it
    "magentic_one": "#d55e00",
    "all": "#009e73",
    "random": "#cc79a7",
    "recency": "#e69f00",
    "similarity": "#56b4e9",
    "judge": "#8a6d00",
    "orchestrator": "#7f3c8d",
    "random_matched": "#5f6b6d",
    "similarity_matched": "#b3a5d6",
}
OTHERS = (
    "#4d4d4d", "#1b7837", "#c51b7d", "#35978f", "#b35806", "#6a51a3",
    "#7fbc41", "#f768a1", "#2b5c8a", "#c9a400", "#8c96c6", "#41b6c4",
)  # fmt: skip


def name_colors(names: Collection[str]) -> dict[str, str]:
    """A colour for each name of a policy, a scheme or a setting.

    A name that is not our own gets a colour by its letters, the next free one where another name of this figure has it
    already. With more such names than colours some share one.
    """
    colors = {name: FIXED[name] for name in names if name in FIXED}
    taken: set[str] = set()
    for name in sorted(set(names) - colors.keys()):
        start = crc32(name.encode(errors="replace")) % len(OTHERS)
        in_order = OTHERS[start:] + OTHERS[:start]
        colors[name] = next((color for color in in_order if color not in taken), in_order[0])
        taken.add(colors[name])
    return {name: colors[name] for name in names}
