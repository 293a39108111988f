"""`lts`: train, evaluate and look at admission controllers for parallel agent teams.

One literal dict of commands; each is a module of `lts_jax.commands` with a frozen dataclass `Command` of settings and
a function `run`. A user's mistake is one line on standard error and exit code 2.
"""

import contextlib
import importlib
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

COMMANDS = {
    "demo": "train a small controller, compare it with every rule, write a report (minutes, no key, no GPU)",
    "train": "train an admission controller; run it again to go on after an interruption",
    "evaluate": "compare a trained controller with every rule on held-out tasks",
    "benchmark": "GAIA or AssistantBench with live tools: says what it will cost, asks, scores, goes on after a stop",
    "sweep": "train and measure over many settings and seeds, on simulated teams or on teams that write text",
    "rollout": "run one task and tell what each team did, admitted and pulled",
    "system": "a paper's method as one command: lts, agemem, comam, srmt, ...; lists them without a name",
    "parts": "list what can be named by a call, with its settings: schemes, rules, networks, encoders, scorers",
    "report": "write report.html and report.json of a run or a sweep again, and print the table",
    "view": "look into every rollout of a run in a browser: timelines, whole texts, probability and credit",
    "push": "publish a controller and its rollouts on the Hugging Face hub, with cards; lists first, sends with --yes",
    "pull": "make a run folder of a published controller",
    "compare": "two or more runs side by side: what differs, learning curves, a paired comparison",
    "track": "bring trackers up to date with a run: csv, tensorboard, wandb, trackio, mlflow",
    "credit": "what each step of a run is worth by a credit scheme, as data for other trainers",
    "offline": "what other policies would have been worth, estimated from a run's stored rollouts",
    "leaderboard": "a credit scheme of your own trained beside all others, on the same tasks and seeds",
    "import": "read logs of other agent systems (AutoGen, tau-bench, verifiers, inspect, OpenTelemetry) into rollouts",
    "revoke": "list where entries came from, or mark all rollouts that a bad origin reached",
    "replay": "replay recorded runs of real agents as parallel teams with a shared memory",
    "simulator": "fit the array simulator to the rollouts of a run, and say where it agrees with them",
    "model": "ask an endpoint five small questions: what it takes of what teams ask, and what a call costs",
    "models": "fetch a language model for the teams, a Qwen3 for the controller, or a text encoder",
    "world": "print a task, a page, a search or the numbers of the offline world",
    "serve-simulated": "serve the simulated language model as an OpenAI-compatible endpoint",
    "serve-model": "serve a language model of a local folder as an OpenAI-compatible endpoint",
    "serve-memory": "serve a shared memory over MCP to agents of other programs",
}

WITH_WORKERS = ("train", "evaluate", "benchmark", "sweep")
"""Commands for which Ray may have to be started."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command of the command line.

    Exits with 0; with 2 after a user's mistake; with 130 after Ctrl-C, 143 after SIGTERM and 129 after SIGHUP, which go
    the same way; with 70 after a mistake of ours, whose traceback is then in a file.
    """
    stopped_by: list[signal.Signals] = []
    try:
        with _stopping_like_ctrl_c(stopped_by):
            _run(arguments)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        number = stopped_by[0] if stopped_by else signal.SIGINT
        said = {signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}.get(number, "interrupted")
        _fail(f"{said}; the same command goes on where it stopped", code=128 + number)
    except Exception as error:
        _fail(_internal_error(error), code=70)


def _run(arguments: Sequence[str] | None) -> None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_usage())
        return
    if arguments[0] == "--version":
        from lts_jax import __version__

        print(f"lts_jax {__version__}")
        return
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        _fail(f"unknown command {name!r}; the commands are {', '.join(COMMANDS)}")
    if set(rest) & {"-h", "--help"}:
        rest = _help(name, rest)
    from lts_jax.bounds import check_bounds
    from lts_jax.errors import UserError
    from lts_jax.programs import keep_programs

    keep_programs()
    if name in WITH_WORKERS and "--workers" in {argument.partition("=")[0] for argument in rest}:
        _start_workers(rest)
    warnings.formatwarning = lambda message, *_: f"lts: {message}\n"
    module = importlib.import_module(command_module(name))
    try:
        command = _parse(module.Command, name, rest)
        check_bounds(command)
        module.run(command)
    except (UserError, FloatingPointError) as error:
        _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        _fail(_os_message(error))


def _start_workers(rest: list[str]) -> None:
    """Start Ray for what `--workers` says, before anything imports jax."""
    from lts_jax.distributed.starting import start_ray, workers_of
    from lts_jax.errors import UserError

    try:
        start_ray(workers_of(rest))
    except UserError as error:
        _fail(str(error))


@contextlib.contextmanager
def _stopping_like_ctrl_c(stopped_by: list[signal.Signals]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does; those that come are put into `stopped_by`.

    One that is ignored, as under nohup, or that somebody else handles stays as it is.
    """

    def stop(number: int, frame: object) -> None:
        stopped_by.append(signal.Signals(number))
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):  # as shells start what runs in the background
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    is_main = threading.current_thread() is threading.main_thread()
    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(one) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _internal_error(error: Exception) -> str:
    """What went wrong, in a line, with the traceback in a file."""
    import tempfile
    import traceback

    from lts_jax.errors import describe
    from lts_jax.redact import environment_secrets, redact_text
    from lts_jax.storage import write_bytes

    secrets = environment_secrets(os.environ)
    told = redact_text("".join(traceback.format_exception(error, limit=-40)), secrets)
    said = f"an error of the program itself ({redact_text(describe(error), secrets)})"
    path = Path(tempfile.gettempdir()) / f"lts_jax-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        write_bytes(path, told.encode(errors="replace"))
    except OSError:
        print(told, file=sys.stderr)
        return said
    return f"{said}; please report it with {path}"


def _help(name: str, rest: list[str]) -> list[str]:
    """Print the short help where there is one, unless all of it is asked for; else what is left to parse."""
    from lts_jax.commands.short_help import SHORT, short_help

    place = min(rest.index(flag) for flag in ("-h", "--help") if flag in rest)
    if name in SHORT and rest[place + 1 : place + 2] != ["all"]:
        print(short_help(name, COMMANDS[name]))
        sys.exit(0)
    return ["--help"]


def command_module(name: str) -> str:
    """Dotted name of a command's module; `import` is a word that no module should be named."""
    return f"lts_jax.commands.{'import_logs' if name == 'import' else name.replace('-', '_')}"


def _usage() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {does}" for name, does in COMMANDS.items()]
    return "\n".join(
        [
            "usage: lts COMMAND [--setting value ...]",
            "",
            "Learning to Share: a shared memory for parallel agent teams, and a controller that learns what to admit.",
            "",
            *lines,
            "",
            "`lts COMMAND --help` tells a command's settings. Start with `lts demo`.",
        ]
    )


def _parse(command: type, name: str, arguments: Sequence[str]) -> object:
    import tyro

    said = io.StringIO()
    start: dict[str, Any] = _from_config(command, arguments)
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(command, prog=f"lts {name}", args=list(arguments), **start)
    except SystemExit as stopped:
        if stopped.code in {0, None}:
            raise
        from lts_jax.commands.short_help import SHORT, hint_of

        listing = f"`lts {name} --help{' all' * (name in SHORT)}` lists the settings"
        _fail(hint_of(list(arguments)) or f"{_one_line(said.getvalue())}; {listing}")
    except ValueError as error:  # from a settings record's own check
        _fail(str(error).splitlines()[0])


def _from_config(command: type, arguments: Sequence[str]) -> dict[str, Any]:
    """The defaults of a command that takes `--config`, where it is given: the settings of another run."""
    from dataclasses import fields

    given = [
        argument.partition("=")[2] or "".join(arguments[place + 1 : place + 2])
        for place, argument in enumerate(arguments)
        if argument.partition("=")[0] == "--config"
    ]
    if not given or not {"config", "train"} <= {one.name for one in fields(command)}:
        return {}
    from lts_jax.systems.run_folder import read_config
    from lts_jax.systems.train_settings import TrainSettings

    return {"default": command(train=read_config(Path(given[-1]), TrainSettings))}


def _os_message(error: OSError) -> str:
    """What went wrong with which file; a temporary file goes by the name it was to have."""
    problem = error.strerror or str(error)
    if not error.filename:
        return problem
    named = re.sub(r"[.]([^/]+)[.][0-9]+[.]tmp$", r"\1", str(error.filename))
    return f"{named}: {problem}"


def _one_line(box: str) -> str:
    """What a boxed, wrapped error message says first, and the first suggestion if there is one."""
    lines = [line.strip("│| ") for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()]
    rules = [place for place, line in enumerate(lines) if re.match(r"[╭╰+]|[─-]{3}", line)]
    first, second = (*rules, len(lines), len(lines))[:2]
    hint = next((line for line in lines if re.match(r"--\w", line)), "")
    suggestion = f" (did you mean {hint.split()[0]}?)" if "Perhaps" in box and hint else ""
    return " ".join(lines[first + 1 : second]).rstrip(".") + suggestion


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"lts: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
