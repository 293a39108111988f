"""Colours of pages and figures: a name has the same one everywhere.

Those of our own lines are fixed; the first of them are Okabe and Ito's (2008), told apart by colour-blind readers too.
"""

from collections.abc import Collection
from zlib import crc32

INK, SOFT, FAINT, ACCENT = "#1d2329", "#66707a", "#e3e6e9", "#0072b2"
SHADE = "#eef1f3"  # of a region
ON_PALE = "#1d2328"  # letters on a pale mark, which stay dark on a dark page

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

ON_DARK = {
    INK: "#e6e9ec", SOFT: "#9aa4ad", FAINT: "#30363c", ACCENT: "#5cb3ea", SHADE: "#1f262c", "#fff": "#15191d",
    "#8a6d00": "#c4a53c", "#7f3c8d": "#bb83c9", "#5f6b6d": "#94a1a3", "#d55e00": "#f08a3c",
    "#b2182b": "#e36b79", "#1b7837": "#53b374", "#c51b7d": "#e873b4", "#b35806": "#dd8b45", "#6a51a3": "#a894dd",
    "#2b5c8a": "#74a4d2",
}  # fmt: skip
"""What stands in a colour's place on a dark page, where it would be too dark to read."""


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
