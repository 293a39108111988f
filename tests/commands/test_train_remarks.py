"""What `lts train` says at its end beyond where the run lies."""

from lts_jax.commands.train import remarks

FINE = {"learning/num_skipped": 0.0}


def test_mostly_there_is_nothing_to_say():
    assert remarks(FINE) == []
    assert remarks(FINE | {"learning/reward_belief": 0.05, "learning/runtime_belief": 0.93}) == []


def test_skipped_updates_are_counted():
    assert remarks({"learning/num_skipped": 3.0}) == ["3 updates were skipped because something in them was not finite"]


def test_rollouts_that_tell_nothing_are_named():
    [said] = remarks(FINE | {"learning/reward_belief": 0.0626, "learning/runtime_belief": 0.49})
    assert said.startswith(
        "these rollouts do not tell whether admissions change reward or runtime (beliefs 0.06 and 0.49)"
    )
    assert said.endswith("train on more tasks")
