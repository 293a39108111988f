"""What a team sees of a program's run, the literal command lines, and the refusal to run without walls."""

import asyncio
import errno
import os
import platform
import struct
import sys
import tempfile
import venv

import pytest

from lts_jax.live.task_tools import TaskTools, ToolChoice
from lts_jax.live.tools import sandbox
from lts_jax.live.tools.child import ChildLimits, run_child
from lts_jax.live.tools.kit import ToolSettings
from lts_jax.live.tools.sandbox import UNSANDBOXED, SandboxSettings, run_program, run_python, sandbox_problem
from lts_jax.live.tools.sandbox_bwrap import Bwrap, bwrap_arguments
from lts_jax.live.tools.sandbox_inputs import inputs_of
from lts_jax.live.tools.sandbox_settings import View, view_of
from lts_jax.live.tools.seccomp import DENIED, filter_program

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
OPEN = SandboxSettings(run_unsandboxed=UNSANDBOXED)


def run(code, settings=OPEN, folder=None):
    return asyncio.run(run_python(code, settings, folder))


VIEW = View(("/usr", "/opt/py/v"), (("usr/bin", "/bin"),), (("/data/a.csv", "a.csv"),))


def test_bubblewraps_command_line_for_an_ordinary_user():
    line = bwrap_arguments(
        Bwrap("bwrap", as_root=False, filter_descriptor=7, info_descriptor=8),
        SandboxSettings(scratch_bytes=70_000),
        VIEW,
        ["python", "x"],
    )
    expected = (
        "bwrap --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try "
        "--unshare-user --uid 65534 --gid 65534 --die-with-parent --new-session --hostname sandbox "
        "--perms 1777 --size 70000 --tmpfs /tmp --perms 1777 --dir /tmp/.shm --perms 1777 --dir /tmp/work "
        "--perms 0755 --dir /dev --symlink /proc/self/fd /dev/fd --symlink ../tmp/.shm /dev/shm "
        "--perms 0755 --dir /opt --perms 0755 --dir /opt/py "
        "--ro-bind /usr /usr --ro-bind /opt/py/v /opt/py/v --symlink usr/bin /bin --proc /proc "
        "--dev-bind /dev/null /dev/null --dev-bind /dev/zero /dev/zero --dev-bind /dev/full /dev/full "
        "--dev-bind /dev/random /dev/random --dev-bind /dev/urandom /dev/urandom "
        "--ro-bind /data/a.csv /tmp/work/a.csv --remount-ro / --chdir /tmp/work --seccomp 7 --info-fd 8 -- python x"
    )
    assert line == expected.split()


def test_bubblewraps_command_line_for_root_makes_no_user_namespace():
    line = bwrap_arguments(Bwrap("bwrap", True, 7, 8), SandboxSettings(), VIEW, ["python"])
    assert "--unshare-user" not in line
    assert line[6:10] == ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]


def decide(program, architecture, number, *arguments):
    """The verdict of a filter, by a slow interpreter of its six instructions."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, *[0] * (6 - len(arguments))))
    place, loaded = 0, 0
    while True:
        code, if_true, if_false, constant = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == 0x20:
            loaded = struct.unpack_from("<I", data, constant)[0]
        elif code == 0x06:
            return constant
        else:
            holds = {0x15: loaded == constant, 0x35: loaded >= constant, 0x45: loaded & constant != 0}[code]
            place += if_true if holds else if_false


ALLOW, EPERM, KILL = 0x7FFF0000, 0x50000 | errno.EPERM, 0x80000000


@pytest.mark.parametrize(
    ("number", "arguments", "verdict"),
    [
        (0, (), ALLOW),  # read
        (59, (), ALLOW),  # execve
        (272, (0,), EPERM),  # unshare
        (101, (0,), EPERM),  # ptrace
        (56, (17,), ALLOW),  # clone as fork uses it
        (56, (0x3D0F00,), ALLOW),  # clone as threads use it
        (56, (0x10000000 | 17,), EPERM),  # clone with a new user namespace
        (56, (0x20000 | 17,), EPERM),
        (435, (), 0x50000 | errno.ENOSYS),  # clone3
        (41, (1,), ALLOW),
        (41, (2,), ALLOW),
        (41, (10,), ALLOW),
        (41, (40,), 0x50000 | errno.EAFNOSUPPORT),  # vsock
        (41, (16,), 0x50000 | errno.EAFNOSUPPORT),  # netlink
        (16, (0, 0x5401), ALLOW),
        (16, (0, 0x5412), EPERM),  # TIOCSTI
        (16, (0, 0x541C), EPERM),
        (0x40000000 | 39, (), KILL),  # x32
    ],
)
def test_verdicts_of_the_filter(number, arguments, verdict):
    assert decide(filter_program("x86_64"), 0xC000003E, number, *arguments) == verdict


def test_a_foreign_calling_convention_ends_the_program():
    assert decide(filter_program("x86_64"), 0x40000003, 0) == KILL
    assert decide(filter_program("aarch64"), 0xC00000B7, 97) == EPERM  # unshare
    assert decide(filter_program("aarch64"), 0xC00000B7, 172) == ALLOW  # getpid; iopl's number elsewhere
    assert decide(filter_program("aarch64"), 0xC00000B7, 198, 40) == 0x50000 | errno.EAFNOSUPPORT
    with pytest.raises(ValueError, match="expected a machine of x86_64, aarch64"):
        filter_program("sparc")


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_numbers_of_system_calls_are_those_of_the_headers(column, header):
    if not os.path.exists(header):
        pytest.skip(f"no {header}")
    with open(header, encoding="utf-8") as file:
        words = [line.split() for line in file if line.startswith("#define __NR")]
    numbers = {line[1].removeprefix("__NR3264_").removeprefix("__NR_"): line[2] for line in words}
    checked = 0
    for name, pair in DENIED.items():
        if numbers.get(name, "").isdigit():
            assert int(numbers[name]) == pair[column], name
            checked += 1
    assert checked > 45


def test_what_is_shown_and_what_is_not(tmp_path):
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    assert inputs_of(tmp_path, 9) == ((str(tmp_path / "a"), "a"), (str(tmp_path / "b.txt"), "b.txt"))
    assert inputs_of(tmp_path, 1) == ((str(tmp_path / "a"), "a"),)
    assert inputs_of(None, 9) == ()
    view = view_of(sys.executable, None, 9)
    assert "/usr" in view.shown
    assert not {"/", "/etc", "/home", "/root", "/tmp", "/var", "/proc", "/dev"} & set(view.shown)


def test_an_interpreter_that_lies_in_a_shared_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no installation of its own: /opt would be shown with it"):
        view_of("/opt/bin/python-that-is-not-there", None, 9)
    settings = SandboxSettings(python="/opt/bin/python-that-is-not-there")
    assert "The code was not run" in run("print(1)", settings).text


@pytest.mark.parametrize("mode", [0o600, 0o644])
@linux_only
def test_files_of_ours_alone_can_be_read_and_links_and_pipes_do_no_harm(tmp_path, mode):
    (tmp_path / "folder").mkdir(mode=0o700 if mode == 0o600 else 0o755)
    for path in (tmp_path / "a.txt", tmp_path / "folder" / "b.txt"):
        path.write_text("content")
        path.chmod(mode)
    (tmp_path / "folder" / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "folder" / "pipe")
    code = "import os\nprint(open('a.txt').read(), open('folder/b.txt').read(), os.path.islink('folder/out'))"
    result = run(code, SandboxSettings(), tmp_path)
    assert result.text == "content content True" or "no sandbox works here" in result.text
    assert run(code, OPEN, tmp_path).text == "content content True"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"run_unsandboxed": "yes"}, "run_unsandboxed: expected nothing or the sentence 'I accept"),
        ({"seconds": 0}, "seconds: expected more than 0"),
        ({"memory_bytes": 1}, "memory_bytes: expected at least 67108864"),
        ({"num_processes": 0}, "num_processes: expected at least 1"),
    ],
)
def test_wrong_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        SandboxSettings(**settings)


def test_without_a_sandbox_nothing_runs(tmp_path):
    witness = tmp_path / "ran"
    settings = SandboxSettings(bwrap="no-such-bubblewrap")
    result = run(f"open({str(witness)!r}, 'w')", settings)
    assert result.failed
    assert result.text == (
        "The code was not run: no sandbox works here (no-such-bubblewrap is not installed; for example: "
        "apt install bubblewrap)."
    )
    assert not witness.exists()


def test_a_live_run_says_once_at_its_start_that_no_program_will_run(tmp_path, capsys):
    walls = SandboxSettings(bwrap="no-such-bubblewrap", seconds=7)
    for kind in ("offline", "live", "live"):
        TaskTools(ToolChoice(kind, ToolSettings(sandbox=walls)), staged=tmp_path)
    assert capsys.readouterr().err == (
        "lts: tools.live.sandbox: agents will work without running programs. The code was not run: no sandbox works "
        "here (no-such-bubblewrap is not installed; for example: apt install bubblewrap).\n"
    )
    TaskTools(ToolChoice("live", ToolSettings(sandbox=OPEN)), staged=tmp_path)
    assert capsys.readouterr().err == ""


@linux_only
def test_walls_that_do_not_stand_run_nothing(tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho creating new namespace failed\nexit 1\n")
    broken.chmod(0o755)
    ran = asyncio.run(run_program("print(1)", SandboxSettings(bwrap=str(broken))))
    assert (ran.engine, ran.output) == ("", "")
    assert ran.problem == "The code was not run: no sandbox works here (creating new namespace failed)."
    assert sandbox_problem(SandboxSettings(bwrap=str(broken))) == ran.problem
    assert sandbox_problem(OPEN) == ""


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/var/tmp"])
@pytest.mark.parametrize("symlinks", [True, False])
@linux_only
def test_an_interpreter_may_lie_below_the_places_that_are_mounted_over(place, symlinks):
    """What a program writes lies in /tmp, where a clone with its virtual environment may lie too."""
    missing = sandbox_problem(SandboxSettings())
    if missing:
        pytest.skip(missing)
    if not os.access(place, os.W_OK):
        pytest.skip(f"{place} is not there to be written in")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        venv.create(f"{folder}/own", symlinks=symlinks)
        code = "import json, sys\nopen('/tmp/x', 'w').write('x')\nopen('/dev/shm/x', 'w')\nprint(sys.prefix)"
        ran = asyncio.run(run_program(code, SandboxSettings(python=f"{folder}/own/bin/python")))
    assert (ran.output, ran.problem) == (f"{folder}/own\n", "")


@linux_only
@pytest.mark.parametrize(
    ("code", "text", "failed"),
    [
        ("print(6 * 7)", "42", False),
        ("", "The program printed nothing.", True),
        ("print('a'); raise SystemExit(3)", "a", True),
        ("import sys; print('to errors', file=sys.stderr)", "to errors", False),
        ("print(__name__, __file__, input.__name__)", "__main__ program.py input", False),
        ("def f():\n    return 1 / 0\nprint('before')\nf()", None, True),
        ("print('unfinished", None, True),
        ("print(open(0).read() == '')", "True", False),
        ("print('\\ud800')", None, True),
    ],
)
def test_what_a_program_prints(code, text, failed):
    result = run(code)
    assert (result.failed, result.tool) == (failed, "run_python")
    assert text is None or result.text == text


@linux_only
def test_a_traceback_shows_the_programs_own_lines():
    assert run("def f():\n    return 1 / 0\nprint('before')\nf()").text.splitlines()[:6] == [
        "before",
        "Traceback (most recent call last):",
        '  File "program.py", line 4, in <module>',
        "    f()",
        '  File "program.py", line 2, in f',
        "    return 1 / 0",
    ]


def test_a_code_that_is_no_text_is_refused():
    assert run("print('\ud800')").text.startswith("The code was not run: it is no valid text")


@linux_only
def test_the_work_folder_is_at_hand_and_stays_as_it_is(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "own.py").write_text("value = 5\n")
    code = "import own\nprint(own.value, open('table.csv').read())\nopen('new.txt', 'w').write('x')"
    assert run(code, OPEN, tmp_path).text == "5 a,b\n1,2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.py", "table.csv"]


@linux_only
@pytest.mark.parametrize(
    ("code", "settings", "said"),
    [
        ("import time; print('x'); time.sleep(600)", {"seconds": 3}, "x\n[stopped: it ran longer than 3 s]"),
        ("while True: pass", {"cpu_seconds": 1, "seconds": 300}, "[stopped: it used more than 1 s of processor time]"),
        ("while True: print('x' * 9999)", {"output_bytes": 5}, "xxxxx\n[stopped: it printed more than 5 bytes]"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", {}, "[ended by signal 11: Segmentation fault]"),
        (
            "import os, time\nfor _ in range(30):\n    os.fork() or time.sleep(300)\ntime.sleep(300)",
            {"num_processes": 3, "seconds": 300},
            "[stopped: it started more than 3 processes]",
        ),
    ],
)
def test_limits_hold_without_walls_too(code, settings, said):
    result = run(code, SandboxSettings(run_unsandboxed=UNSANDBOXED, **settings))
    assert result.failed
    assert result.text == said


@linux_only
def test_memory_is_limited_without_walls_too():
    settings = SandboxSettings(run_unsandboxed=UNSANDBOXED, memory_bytes=128 << 20)
    assert run("bytearray(1 << 30)", settings).text.endswith("MemoryError")


@linux_only
def test_a_child_that_never_reads_gets_no_hold_on_us():
    limits = ChildLimits(seconds=0.3, output_bytes=10, memory_bytes=1 << 30, num_processes=9)
    line = [sys.executable, "-c", "import time; time.sleep(60)"]
    ended = asyncio.run(run_child(line, b"x" * (4 << 20), limits, environment={}))
    assert (ended.stopped, ended.output) == ("time", b"")


@linux_only
def test_a_stray_that_holds_the_output_does_not_keep_us_waiting():
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\nelse:\n    print('over')"
    result = run(code, SandboxSettings(run_unsandboxed=UNSANDBOXED, seconds=50))
    assert result.text == "over"
    assert result.seconds < 40


@linux_only
def test_only_so_many_programs_run_at_once():
    settings = SandboxSettings(run_unsandboxed=UNSANDBOXED, num_at_once=2)
    code = "import time\nstart = time.time()\ntime.sleep(0.2)\nprint(start, time.time())"

    async def six():
        return await asyncio.gather(*(run_program(code, settings) for _ in range(6)))

    spans = [tuple(map(float, ran.output.split())) for ran in asyncio.run(six())]
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= 2


def test_this_machine_has_a_filter():
    if platform.machine() in ("x86_64", "aarch64"):
        assert len(sandbox._filter()) % 8 == 0
        assert len(sandbox._filter()) < 4096  # fits a pipe in one write
