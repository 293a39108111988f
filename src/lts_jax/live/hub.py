"""Fetching from the Hugging Face hub and sending to it, and saying in one line why it did not work: which of a dozen
reasons it was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lts_jax.errors import MOST_SHOWN, UserError

_OF_TOKENS = ("token", "credential", "password", "expired")
_OF_PERMISSIONS = ("fine-grained", "token settings", "permission", "scope")


def fetch_repository(
    name: str,
    kind: Literal["model", "dataset"],
    patterns: Sequence[str],
    *,
    revision: str | None = None,
    folder: Path | None = None,
) -> Path:
    """The folder with the files of a repository that match the patterns: `folder`, or one of the local cache.

    Raises:
        UserError: no such repository or revision, a gate, a refused token, or a hub that cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub import errors

    try:
        found = huggingface_hub.snapshot_download(
            name, repo_type=kind, revision=revision, local_dir=folder, allow_patterns=list(patterns)
        )
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{name}: has no revision {revision!r} on the hub") from error
    except (OSError, errors.HfHubHTTPError, errors.HFValidationError, errors.LocalEntryNotFoundError) as error:
        raise UserError(f"{name}{_explain(error, name, kind)}") from error
    return folder or Path(found)


def send_folder(folder: Path, name: str, kind: Literal["model", "dataset"], *, private: bool, message: str) -> str:
    """Make a repository where there is none, and commit a folder to it; its address.

    Raises:
        UserError: no token, no right to write, or a hub that cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub import errors

    api = huggingface_hub.HfApi()
    try:
        made = api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder, commit_message=message)
    except (OSError, errors.HfHubHTTPError, errors.HFValidationError) as error:
        status, told = _reply(error)
        if status in (401, 403):
            why = f": the token in HF_TOKEN or of `hf auth login` may not write to it ({told or status})"
            why = why if _has_token() else f": log in with `hf auth login`, or set HF_TOKEN ({told or status})"
            raise UserError(f"{name}{why}") from error
        raise UserError(f"{name}{_explain(error, name, kind)}") from error
    return str(made)


def _explain(error: Exception, name: str, kind: str) -> str:
    """What follows the repository's name in the line."""
    from huggingface_hub import errors

    status, told = _reply(error)
    words = told.lower()
    if status == 403 and any(word in words for word in _OF_PERMISSIONS):
        return (
            f": the token has no right to read it ({told}); give a token with access to public gated repositories, "
            "which a fine-grained one has only if its settings say so"
        )
    if status == 401 and (_has_token() or any(word in words for word in _OF_TOKENS)):
        return (
            f": the hub refused the token in HF_TOKEN or of `hf auth login` ({told or '401 Unauthorized'}): "
            "it is wrong or has expired; replace it, or take it away for what is public"
        )
    if isinstance(error, errors.GatedRepoError):
        place = "datasets/" if kind == "dataset" else ""
        return (
            f" is gated: log in at https://huggingface.co/{place}{name}, accept its terms, "
            "then set HF_TOKEN (or run `hf auth login`)" + (", or give a local folder" if kind == "dataset" else "")
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return f": no such folder here and no such {kind} on the hub (or no access to it)"
    if isinstance(error, errors.HFValidationError):
        return f": expected the name of a repository, as OWNER/NAME ({_first_line(error)})"
    if status == 403:
        return f": the hub refuses it (403: {told or 'Forbidden'}); see whether the token in HF_TOKEN may read it"
    other_way = "; give a local folder instead" if kind == "dataset" else ""
    why = f"{status}: {told}" if status and told else _first_line(error)
    return f": the hub {'refuses it' if 400 <= status < 500 else 'cannot be reached'} ({why}){other_way}"


def _reply(error: BaseException | None) -> tuple[int, str]:
    """The status that the hub answered with, and its own words; 0 and "" if it did not answer.

    The library wraps an answer into other errors.
    """
    while error is not None:
        reply: Any = getattr(error, "response", None)
        status = getattr(reply, "status_code", 0)
        if status:
            told = getattr(error, "server_message", None) or reply.headers.get("X-Error-Message") or ""
            return int(status), " ".join(str(told).split())[:MOST_SHOWN]
        error = error.__cause__ or error.__context__
    return 0, ""


def _has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.split("\n")[0].rstrip(".")[:MOST_SHOWN] if text else type(error).__name__
