"""A report says first how many model calls failed and why, and leaves out what the endpoint failed."""

from types import SimpleNamespace

from lts_jax.records import ModelCall
from lts_jax.reports.calls_told import calls_told, counted


def rollout(*errors):
    """A rollout of calls with these errors, "" for one that was answered."""
    return SimpleNamespace(calls=tuple(ModelCall("act", "", 1, 1, error=error) for error in errors))


SLOW = "model (rate_limit): m at h: HTTP 429: wait 3 s (attempts: 6)"
FINE, HALF, FAILED = rollout("", "", ""), rollout("", SLOW), rollout(SLOW, SLOW, "")


def test_calls_are_counted_with_their_reasons():
    assert calls_told([]) == calls_told([rollout()]) == ""
    assert calls_told([FINE]) == "Model calls: 3, none failed."
    assert calls_told([FINE, HALF]) == "Model calls: 1 of 5 failed, 1 with m at h: HTTP 429: wait 3 s."
    several = rollout("", "", "", "", "a (x): one", "a (x): two", "a (x): three", "a (x): four", "a (x): one")
    assert calls_told([several]) == "Model calls: 5 of 9 failed, 2 with one; 1 with two; 1 with three; 1 otherwise."
    long = calls_told([rollout("", f"model (other): {'w' * 400}")])
    assert long.endswith("www....") and len(long) < 230


def test_what_the_endpoint_failed_is_left_out_and_told():
    assert counted({"all": [FINE, FAILED, HALF]}) == {"all": [FINE, HALF]}
    assert counted({"all": [FAILED]}) == {"all": [FAILED]}  # nothing else is there: it has no score
    assert calls_told([FINE, FAILED]).endswith(" Most calls of 1 rollout failed so: it is left out.")
    assert calls_told([FAILED, FAILED]).endswith(" Most calls of 2 rollouts failed so: they are left out.")
