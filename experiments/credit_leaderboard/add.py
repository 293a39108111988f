"""A scheme of your own on the terms of the leaderboard, and its row among the others.

    lts leaderboard add mine.py:scheme
    python experiments/credit_leaderboard/add.py mine.py:scheme     # the same; some minutes of a core

It meets the tasks and random numbers that all others met, chooses its sparsity weight on the same selection seeds, and
is compared with LTS on the same 20. What it came to is kept, so that asking again takes seconds. Simulated throughout.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from config import WORLDS, Config
from parts import finite
from run import quick
from tables import name_of, ranking_table, rankings
from trained import train_scheme

from lts_jax.credit.schemes import scheme
from lts_jax.errors import UserError
from lts_jax.storage import read_json, write_json

AROUND = 2  # rows shown above and below the new one


def added(text: str, config: Config) -> list[dict[str, Any]]:
    """The rows of a scheme, trained now or kept from before."""
    content = f"{text} {config}{_source(text)}"
    path = config.parts / f"added-{blake2b(content.encode(), digest_size=8).hexdigest()}.json"
    if not path.exists():
        _, rows, _ = train_scheme(text, config)
        write_json(path, finite(rows))
    return list(read_json(path))


def told(text: str, rows: Sequence[dict[str, Any]], known: Sequence[dict[str, Any]], config: Config) -> str:
    """The scheme's place in each world: its row, its neighbours, and LTS."""
    everything = [*known, *rows]
    blocks = []
    for world, ranking in rankings(everything).items():
        place = next(number for number, row in enumerate(ranking.rows) if name_of(row) == text)
        near = {*range(place - AROUND, place + AROUND + 1)}
        shown = replace(
            ranking,
            rows=tuple(row for number, row in enumerate(ranking.rows) if number in near or row.is_reference),
        )
        place_words = f"{text} is number {ranking.rows[place].rank} of {len(ranking.rows)}"
        blocks.append(f"{place_words}\n{ranking_table(shown, everything, world, config.runtime_price)}")
    return "\n\n".join(blocks)


def main(text: str, config: Config) -> None:
    """Train, compare with the stored rows, print."""
    part = scheme(text)
    rows_path = Config().results / "rows.json"
    known = [row for row in read_json(rows_path) if row["world"] in WORLDS]
    if part.text in {row["credit"] for row in known}:
        raise UserError(f"{part.text}: stands on the leaderboard already, in {rows_path}")
    print(told(part.text, added(part.text, config), known, config))


def _source(text: str) -> str:
    """What a file of the user's holds: another content is another scheme."""
    place = Path(text.partition(":")[0])
    return place.read_text(encoding="utf-8") if place.suffix == ".py" and place.exists() else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scheme", help="as mine.py:function or mine.py:function(price=0.2)")
    parser.add_argument("--quick", action="store_true", help="tiny runs on two of the seeds; no finding")
    given = parser.parse_args()
    try:
        main(given.scheme, quick(Config()) if given.quick else Config())
    except UserError as error:
        sys.exit(f"add: {error}")
