"""One command of `lts` in a process that kills itself (SIGKILL) at its n-th file operation, before or after it.

Not to be run by hand: `run.py` does. Arguments: n (0: never), "before" or "after", a file to count into, the command.
"""

import builtins
import os
import signal
import sys
from typing import Any

from lts_jax import cli

OPERATIONS = ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "ftruncate", "open", "write")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    """Count file operations below the working folder, and die at one of them."""
    number, when, counted, *command = sys.argv[1:]
    left, seen = int(number), [0]

    def watch(name: str) -> None:
        real = getattr(os, name)

        def operation(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not (len(arguments) > 1 and arguments[1] & _WRITES):
                return real(*arguments, **named)
            seen[0] += 1
            if seen[0] == left and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **named)
            finally:
                if seen[0] == left and when == "after":
                    os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, name, operation)

    for name in OPERATIONS:
        watch(name)
    real_open = builtins.open
    try:
        cli.main(command)
    finally:
        with real_open(counted, "w") as file:
            file.write(str(seen[0]))


if __name__ == "__main__":
    main()
