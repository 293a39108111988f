"""A task's files, laid out for the tools that may open them: these alone, under the names that teams are shown."""

import shutil
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.records import Task
from lts_jax.storage import replacing


def stage_attachments(task: Task, folder: Path) -> Path:
    """Copy the attachments of a task into a folder of their own below `folder`, and return that folder.

    The folder is made for the task, also if it has no attachments, and holds nothing else: the dataset's folder, where
    the originals lie, holds the reference answers too. Copies that are there already, of the same size, are kept.

    Raises:
        UserError: an attachment is missing, its name is not a plain file name, or the folder holds another file.
    """
    if len(task.attachments) != len(task.attachment_paths):
        raise UserError(
            f"task {task.task_id}: expected one path per attachment, got {len(task.attachment_paths)} for "
            f"{len(task.attachments)}"
        )
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in task.task_id)
    root = Path(folder) / safe
    root.mkdir(parents=True, exist_ok=True)
    strangers = sorted({each.name for each in root.iterdir()} - set(task.attachments))
    if strangers:
        raise UserError(f"{root}: expected the attachments of task {task.task_id} alone, found {strangers[0]!r}")
    for name, source in zip(task.attachments, map(Path, task.attachment_paths), strict=True):
        _copy(task, name, source, root / name)
    return root


def _copy(task: Task, name: str, source: Path, target: Path) -> None:
    if name != target.name or name in ("", ".", ".."):
        raise UserError(f"task {task.task_id}: expected a plain file name for its attachment, got {name!r}")
    if not source.is_file():
        raise UserError(f"task {task.task_id}: its attachment {source} is missing")
    if target.is_file() and not target.is_symlink() and target.stat().st_size == source.stat().st_size:
        return
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
