"""The one exception that a user's mistake raises; the command line prints it as one line and exits with code 2."""


class UserError(ValueError):
    """A wrong setting, a missing file, a folder of another version: one clear line that says what was expected."""
