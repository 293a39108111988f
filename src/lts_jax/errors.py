"""The one exception that a user's mistake raises; the command line prints it as one line and exits with code 2."""


class UserError(ValueError):
    """A wrong setting, a missing file, a folder of another version: one clear line that says what was expected."""


MOST_SHOWN = 200  # characters of a wrong value that a message repeats


def show(value: object) -> str:
    """A wrong value for a message: quoted, on one line, at most 200 characters of it."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def describe(error: BaseException) -> str:
    """An exception for a message of one line: its kind, and at most 200 characters of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:MOST_SHOWN]}"
