"""Overhead: the calls that are made only because teams share."""

from dataclasses import replace

import pytest
from fake_rollouts import make_rollout

from lts_jax.evaluation.measures import measure
from lts_jax.records import ModelCall


@pytest.mark.parametrize("purpose", ["summarize", "select", "judge", "controller"])
def test_calls_that_only_sharing_makes_are_overhead(purpose: str) -> None:
    calls = (ModelCall("act", "", 100, 20, seconds=4.0), ModelCall(purpose, "", 30, 7, seconds=2.5))
    got = measure(replace(make_rollout(), calls=calls))
    assert (got.overhead_seconds, got.overhead_tokens) == (2.5, 37)
    assert got.overhead_seconds_by_purpose == {purpose: 2.5}
    assert (got.model_seconds, got.tokens) == (6.5, 157)
