"""A revoked origin in rollouts that lie on disk: mark every rollout that it reached, so that training leaves it out."""

from collections.abc import Iterable
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.memory.trust import mark_revoked
from lts_jax.rollouts.store import read_rollouts, rollout_files, write_rollouts


def revoke_in_folder(folder: Path, origins: Iterable[str]) -> int:
    """Mark the stored rollouts below `folder` that any of the origins reached; returns how many are newly marked.

    An origin is a name as `memory.trust.is_named` reads it. A file is written again, atomically, only if one of its
    rollouts changed; giving the same call twice changes nothing the second time. What a rollout says is left as it is.

    Raises:
        UserError: no such folder, an empty origin, or a file that cannot be read.
    """
    names = tuple(origins)
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder of rollouts")
    if not names or not all(name.strip() for name in names):
        raise UserError("origins: expected at least one URL, host, file, tool or kind, and none of them empty")
    num_marked = 0
    for path in rollout_files(folder):
        rollouts = read_rollouts(path)
        marked = tuple(mark_revoked(rollout, names) for rollout in rollouts)
        changed = sum(new is not old for new, old in zip(marked, rollouts, strict=True))
        if changed:
            write_rollouts(path, marked)
            num_marked += changed
    return num_marked
