"""`lts track`: send trackers what they lack of a run, after the training or while it runs elsewhere."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lts_jax.adapters.tracking.follow import catch_up
from lts_jax.adapters.tracking.tracker import TrackerProblem
from lts_jax.adapters.tracking.trackers import make_tracker
from lts_jax.errors import UserError, describe
from lts_jax.storage import read_json
from lts_jax.systems.run_folder import read_settings
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Bring trackers up to date with the metrics of a run. A run that a tracker knows already is gone on with."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    track: tuple[str, ...] = ()
    """Trackers, as in lts train; by default those that followed the run before."""


def run(command: Command) -> None:
    """Send, and say how much.

    Raises:
        UserError: no run folder, no tracker named and none known, or one that cannot do its work.
    """
    read_settings(command.run, TrainSettings)
    known = command.run / "trackers.json"
    names = command.track or (tuple(read_json(known, dict)) if known.exists() else ())
    if not names:
        raise UserError("track: expected the name of a tracker, as --track csv; none has followed this run yet")
    for name in names:
        tracker = make_tracker(name)
        try:
            sent = catch_up(command.run, [tracker])[tracker.name]
        except TrackerProblem as problem:
            raise UserError(f"{name}: {problem}") from None
        except UserError:
            raise
        except Exception as error:  # of somebody else's package, whatever it is
            raise UserError(f"{name}: {describe(error)}") from error
        print(f"{name}: {sent} updates sent")
