"""The first lines of every program that is run: limits on the process, then the program in a module of its own.

This file runs in the child, on the standard library alone, after the walls stand. Its arguments are numbers: CPU
seconds, bytes of address space, bytes of a written file, processes, open files, the user to become (0: stay), and the
descriptor on which to say that the walls stand. The program is read from standard input.
"""

import os
import resource
import sys

PROGRAM = "program.py"


def start(arguments: list[str]) -> None:
    """Take on the limits and the user, say so, and run the program. Ends the process as the program does.

    Raises:
        OSError: a limit or the user could not be taken on; nothing was run.
    """
    cpu, memory, file_bytes, processes, files, user, ready = map(int, arguments)
    source = sys.stdin.buffer.read()
    # The hard limit of CPU time comes one second later and kills, should the program not heed the first signal.
    limits = [(resource.RLIMIT_CPU, cpu, cpu + 1), (resource.RLIMIT_FSIZE, file_bytes, file_bytes)]
    limits += [(resource.RLIMIT_NOFILE, files, files), (resource.RLIMIT_CORE, 0, 0)]
    limits += [(resource.RLIMIT_AS, memory, memory), (resource.RLIMIT_NPROC, processes, processes)]
    for kind, soft, hard in limits:
        resource.setrlimit(kind, _within(kind, soft, hard))
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.write(ready, b"ready")
    os.close(ready)
    run(source)


def run(source: bytes) -> None:
    """Run a program as `__main__`. A traceback shows the program's own lines only; its exit status is then 1."""
    module = type(sys)("__main__")
    module.__dict__["__file__"] = PROGRAM
    sys.modules["__main__"] = module
    sys.argv = [PROGRAM]
    sys.path.insert(0, os.getcwd())
    try:
        exec(compile(source, PROGRAM, "exec"), module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error, source)
        sys.exit(1)


def _show(error: BaseException, source: bytes) -> None:
    import linecache
    import traceback

    lines = source.decode(errors="replace").splitlines(keepends=True)
    linecache.cache[PROGRAM] = (len(source), None, lines, PROGRAM)
    own = error.__traceback__.tb_next if error.__traceback__ else None
    traceback.print_exception(type(error), error, own)


def _within(kind: int, soft: int, hard: int) -> tuple[int, int]:
    """A limit is only ever lowered: who starts us may already have less."""
    highest = resource.getrlimit(kind)[1]
    if highest == resource.RLIM_INFINITY:
        return soft, hard
    return min(soft, highest), min(hard, highest)
