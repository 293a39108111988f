"""Literal rows [prediction, gold, score in [0, 1], answered]; the scores are those of the leaderboards' own scorers."""

import json
from pathlib import Path

import pytest

from lts_jax.tasks.scoring import SCORERS


@pytest.mark.parametrize(("benchmark", "num_rows"), [("assistantbench", 167), ("gaia", 92)])
def test_golden_rows(benchmark: str, num_rows: int) -> None:
    rows = json.loads((Path(__file__).parent / f"golden_{benchmark}.json").read_text())
    assert len(rows) == num_rows
    wrong = []
    for prediction, gold, score, answered in rows:
        outcome = SCORERS[benchmark](prediction, gold)
        if abs(outcome.score - score) > 1e-12 or outcome.answered is not answered:
            wrong.append((prediction, gold, score, answered, outcome))
    assert not wrong
