"""Programs that try to get out of the walls; and the same without walls, to see that they can."""

import asyncio
import os
import platform
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from lts_jax.live.tools.sandbox import UNSANDBOXED, SandboxSettings, run_program, sandbox_problem

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64", reason="system call numbers of x86_64 Linux"
)

PRELUDE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(action):
    try:
        reached = action()
    except (OSError, ValueError, MemoryError) as error:
        print("held:", error)
    else:
        print("ESCAPED" if reached else "held: nothing there")
def system_call(number, *arguments):
    ctypes.set_errno(0)
    status = libc.syscall(ctypes.c_long(number), *arguments)
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True
def read(path):
    with open(path, "rb") as file:
        return file.read(1 << 16)
def write(path, mode="wb"):
    with open(path, mode) as file:
        file.write(b"x")
    return True
def status(result):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True
def seen(process):
    try:
        return read("/proc/%s/environ" % process)
    except OSError:
        return b""
def pids():
    return [name for name in os.listdir("/proc") if name.isdigit()]
"""

# Each makes one attempt. Those that are harmless outside are tried there too and must come through (CONTROLS).
PROBES = {
    "secret by its path": "attempt(lambda: b'classified' in read({secret!r}))",
    "secret by climbing": "attempt(lambda: b'classified' in read('../' * 30 + {secret!r}))",
    "secret by a link in the work folder": "attempt(lambda: b'classified' in read('link.txt'))",
    "secret by the root of process 1": "attempt(lambda: b'classified' in read('/proc/1/root' + {secret!r}))",
    "secret by a folder of process 1": "attempt(lambda: b'classified' in read('/proc/1/cwd' + {secret!r}))",
    "password hashes": "attempt(lambda: read('/etc/shadow'))",
    "secret by a link further down": "attempt(lambda: b'classified' in read('folder/up/secret.txt'))",
    "home folders": "own = (sys.prefix, sys.base_prefix)\n"
    "attempt(lambda: [f for h in ('/root', '/home') if os.path.isdir(h) for f in os.listdir(h) "
    "if not any(each.startswith(h + '/' + f) for each in own)])",
    "temporary files of the host": "own = (sys.prefix, sys.base_prefix, 'work', '.shm')\n"
    "attempt(lambda: [f for f in os.listdir('/tmp') if f not in own "
    "and not any(each.startswith('/tmp/' + f + '/') for each in own)])",
    "environment of the host": "attempt(lambda: any(b'classified' in seen(p) for p in pids()))",
    "processes of the host": "attempt(lambda: len(pids()) > 3)",
    "open descriptors": "attempt(lambda: [fd for fd in range(3, 256) if os.path.exists('/proc/self/fd/%d' % fd)])",
    "write into the system": "attempt(lambda: write('/usr/written-by-probe'))",
    "write into the root": "attempt(lambda: write('/written-by-probe'))",
    "write into the interpreter's folder": "attempt(lambda: write(sys.prefix + '/written-by-probe'))",
    "write into the work folder's file": "attempt(lambda: write('given.txt'))",
    "append to the work folder's file": "attempt(lambda: write('given.txt', 'ab'))",
    "remove the work folder's file": "attempt(lambda: os.remove('given.txt') or True)",
    "write below the work folder's folder": "attempt(lambda: write('folder/written-by-probe'))",
    "overwrite the interpreter": "attempt(lambda: write('/proc/self/exe', 'r+b'))",
    "block and memory devices": "attempt(lambda: [d for d in os.listdir('/dev') if d in "
    "('mem', 'kmem', 'port', 'kmsg', 'vda', 'sda', 'nvme0n1', 'fuse', 'kvm', 'loop-control')])",
    "make a device": "attempt(lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0)) or True)",
    "become root": "attempt(lambda: os.setuid(0) or True)",
    "become root's group": "attempt(lambda: os.setgroups([0]) or True)",
    "be root already": "attempt(lambda: os.getuid() == 0 or any(int(line.split()[1], 16) for line in "
    "read('/proc/self/status').decode().splitlines() if line.startswith(('CapEff', 'CapPrm'))))",
    "program that becomes root": "import shutil\nshutil.copy('/usr/bin/id', '/tmp/id')\nos.chmod('/tmp/id', 0o4755)\n"
    "import subprocess\nattempt(lambda: b'uid=0' in subprocess.run(['/tmp/id'], capture_output=True).stdout)",
    "new privileges": "attempt(lambda: libc.prctl(39, 0, 0, 0, 0) != 1)",
    "change root": "attempt(lambda: os.chroot('/tmp') or True)",
    "mount": "attempt(lambda: status(libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None)))",
    "make the system writable": "attempt(lambda: status(libc.mount(None, b'/usr', None, 32 | 4096, None)))",
    "unmount": "attempt(lambda: status(libc.umount2(b'/tmp', 2)))",
    "pivot the root": "attempt(lambda: system_call(155, b'/tmp', b'/tmp'))",
    "new mount interface": "attempt(lambda: system_call(428, -100, b'/', 1))",
    "mount attributes": "attempt(lambda: system_call(442, -100, b'/usr', 0, bytes(32), 32))",
    "user namespace": "attempt(lambda: status(libc.unshare(0x10000000)))",
    "user namespace by clone": "attempt(lambda: system_call(56, 0x10000000 | 17, None, None, None, None))",
    "user namespace by clone3": "import struct\n"
    "attempt(lambda: system_call(435, struct.pack('11Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88))",
    "join a namespace": "attempt(lambda: status(libc.setns(os.open('/proc/1/ns/net', 0), 0)))",
    "trace process 1": "attempt(lambda: system_call(101, 16, 1, 0, 0))",
    "trace by a child": "attempt(lambda: system_call(101, 0, 0, 0, 0))",
    "read memory of process 1": "attempt(lambda: system_call(310, 1, bytes(16), 1, bytes(16), 1, 0))",
    "signal a process of the host": "attempt(lambda: os.kill({victim}, 0) or {victim} > 9)",
    "hold a process of the host": "attempt(lambda: os.pidfd_open({victim}) and {victim} > 9)",
    "kill everything": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "attempt(lambda: os.kill(-1, signal.SIGTERM) or len(pids()) > 3)",
    "kernel settings": "attempt(lambda: write('/proc/sys/kernel/core_pattern'))",
    "system request": "attempt(lambda: os.open('/proc/sysrq-trigger', os.O_WRONLY))",
    "kernel memory": "attempt(lambda: read('/proc/kcore'))",
    "devices' settings": "attempt(lambda: os.listdir('/sys'))",
    "safe from the killer": "attempt(lambda: os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000'))",
    "higher priority": "attempt(lambda: os.nice(-5) or True)",
    "own limits raised": "import resource\n"
    "attempt(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6)) or True)",
    "loopback of the host": "import socket\nattempt(lambda: socket.create_connection(('127.0.0.1', {port}), 2))",
    "the internet": "import socket\nattempt(lambda: socket.create_connection(('192.0.2.1', 80), 2))",
    "a name server": "import socket\n"
    "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.53', 53)))",
    "a socket in the abstract space": "import socket\nplug = socket.socket(socket.AF_UNIX)\n"
    "attempt(lambda: plug.connect('\\0{abstract}') or True)",
    "a socket by its path": "import socket\nplug = socket.socket(socket.AF_UNIX)\n"
    "attempt(lambda: plug.connect({plug!r}) or True)",
    "raw packets": "import socket\nattempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))",
    "the host of a virtual machine": "import socket\nattempt(lambda: socket.socket(socket.AF_VSOCK))",
    "kernel crypto sockets": "import socket\nattempt(lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))",
    "kernel messages": "attempt(lambda: system_call(103, 3, bytes(64), 64) )",
    "keys of the kernel": "attempt(lambda: system_call(248, b'user', b'probe', b'x', 1, -3))",
    "key ring of the session": "attempt(lambda: system_call(250, 0, -3, 0))",
    "programs for the kernel": "attempt(lambda: system_call(321, 5, bytes(64), 64))",
    "counters of the kernel": "attempt(lambda: system_call(298, bytes(128), 0, -1, -1, 0))",
    "page faults in own hands": "attempt(lambda: system_call(323, 1))",
    "calls by a ring": "attempt(lambda: system_call(425, 4, bytes(120)))",
    "memory that no limit counts": "attempt(lambda: system_call(319, b'x', 0))",
    "shared memory segment": "attempt(lambda: system_call(29, 0, 1 << 20, 0o1600))",
    "load a module": "attempt(lambda: system_call(175, b'x', 1, b''))",
    "restart keys": "attempt(lambda: system_call(169, 0xFEE1DEAD, 672274793, 0, None))",
    "set the clock": "import time\nattempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()) or True)",
    "set the host's name": "import socket\nattempt(lambda: socket.sethostname('probe') or True)",
    "type into the terminal": "import fcntl\nattempt(lambda: fcntl.ioctl(0, 0x5412, b'x') or True)",
    "open by handle": "attempt(lambda: system_call(304, -100, bytes(64), 0))",
}

CONTROLS = (
    "secret by its path", "secret by climbing", "environment of the host", "processes of the host",
    "temporary files of the host", "signal a process of the host", "hold a process of the host",
    "loopback of the host", "a socket in the abstract space", "a socket by its path", "memory that no limit counts",
    "devices' settings", "trace by a child", "new privileges", "secret by a link further down",
)  # fmt: skip


def run(code, settings, folder=None):
    return asyncio.run(run_program(code, settings, folder))


@pytest.fixture(scope="module")
def walls():
    """Skips where there is no bubblewrap, or where its walls cannot stand."""
    problem = sandbox_problem(SandboxSettings())
    if problem:
        pytest.skip(problem)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """What there is to be reached outside: a secret, a listener of each kind, a process; and a work folder."""
    outside, work = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("work")
    (outside / "secret.txt").write_text("classified")
    (work / "given.txt").write_text("as given")
    (work / "folder").mkdir()
    (work / "link.txt").symlink_to(outside / "secret.txt")
    (work / "folder" / "up").symlink_to(outside)
    abstract = f"lts-probe-{os.getpid()}"
    listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    listeners[1].bind(f"\0{abstract}")
    listeners[2].bind(str(outside / "plug"))
    for listener in listeners[1:]:
        listener.listen()
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={"PROBE": "classified"})
    names = {"secret": str(outside / "secret.txt"), "plug": str(outside / "plug"), "abstract": abstract}
    names |= {"port": listeners[0].getsockname()[1], "victim": victim.pid}
    yield SimpleNamespace(names=names, work=work, outside=outside, victim=victim)
    victim.kill()
    victim.wait()
    for listener in listeners:
        listener.close()


def test_there_are_forty_probes():
    assert len(PROBES) + len(STOPPED) >= 40
    assert set(CONTROLS) <= set(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_no_probe_escapes(name, walls, host):
    program = PRELUDE + PROBES[name].format(**host.names)
    ran = run(program, SandboxSettings(seconds=300, num_processes=8), host.work)
    assert ran.engine == "bwrap"
    assert "ESCAPED" not in ran.output
    assert ran.output.startswith("held") or "[stopped" in ran.problem, (ran.output, ran.problem)
    assert host.victim.poll() is None
    assert (host.work / "given.txt").read_text() == "as given"
    assert not list((host.work / "folder").glob("written*"))


@pytest.mark.parametrize("name", CONTROLS)
def test_a_probe_that_meets_no_walls_comes_through(name, host):
    program = PRELUDE + PROBES[name].format(**host.names)
    ran = run(program, SandboxSettings(run_unsandboxed=UNSANDBOXED, seconds=300), host.work)
    assert ran.output.strip() == "ESCAPED"


# Programs that take too much: (settings, program, a part of what is said of its end).
STOPPED = {
    "endless loop": ({"cpu_seconds": 1, "seconds": 300}, "while True: pass", "more than 1 s of processor time"),
    "loop deaf to signals": (
        {"cpu_seconds": 1, "seconds": 300},
        "import signal\nfor n in (15, 24, 2, 1): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        "signal 9",
    ),
    "endless sleep": ({"seconds": 3}, "import time\ntime.sleep(600)", "ran longer than 3 s"),
    "closed output and sleep": (
        {"seconds": 3},
        "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(600)",
        "ran longer than 3 s",
    ),
    "flood of output": ({"seconds": 300}, "while True: print('x' * 65536)", "printed more than 65536 bytes"),
    "flood of errors": (
        {"seconds": 300},
        "import sys\nwhile True: sys.stderr.write('x' * 65536)",
        "printed more than 65536 bytes",
    ),
    "memory of many processes": (
        {"memory_bytes": 128 << 20, "seconds": 300},
        "import os, time\nfor i in range(6):\n    if os.fork() == 0:\n        held = bytearray(b'x') * (60 << 20)\n"
        "        time.sleep(600)\ntime.sleep(600)",
        "more than 128 MiB",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_what_takes_too_much_is_stopped(name, walls):
    settings, program, said = STOPPED[name]
    started = time.monotonic()
    ran = run(program, SandboxSettings(**settings))
    assert said in ran.problem
    assert time.monotonic() - started < 200


# Programs that meet an error at a limit and go on: the last line tells how far they came.
BOUNDED = {
    "memory": ("attempt(lambda: bytearray(4 << 30))", "held"),
    "one long file": (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "attempt(lambda: open('long', 'wb').write(bytes(8 << 20)))\nprint(os.path.getsize('long') <= 4 << 20)",
        "True",
    ),
    "many files": (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\ntotal = 0\ntry:\n"
        "    for place in ['/tmp', '/tmp/work', '/dev/shm'] * 10:\n        for i in range(4):\n"
        "            total += open('%s/%d-%d' % (place, total, i), 'wb', 0).write(bytes(1 << 20))\n"
        "except OSError as error: pass\nprint(total <= 8 << 20)",
        "True",
    ),
    "fork bomb": (
        "import time\nn = 0\ntry:\n    while n < 1000:\n        if os.fork() == 0:\n            time.sleep(9)\n"
        "            os._exit(0)\n        n += 1\nexcept OSError: pass\nprint(n < 16)",
        "True",
    ),
    "threads": (
        "import threading, time\nn = 0\ntry:\n    while n < 1000:\n"
        "        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n        n += 1\n"
        "except RuntimeError: pass\nprint(n < 16)",
        "True",
    ),
    "open files": ("attempt(lambda: [open('/dev/null') for _ in range(1000)])", "held"),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_limits_of_the_kernel_hold(name, walls):
    program, expected = BOUNDED[name]
    settings = SandboxSettings(
        seconds=300, num_processes=8, file_bytes=4 << 20, scratch_bytes=8 << 20, memory_bytes=256 << 20
    )
    ran = run(PRELUDE + program, settings)
    assert ran.output.splitlines()[-1].startswith(expected), (ran.output, ran.problem)


def straying(marker, seconds):
    """A program that leaves a process in a session of its own, to be found by its marker, and ends later."""
    return (
        "import os, sys, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(300)', {marker!r}])\n"
        f"    os._exit(0)\ntime.sleep(0.2)\nprint('strayed')\ntime.sleep({seconds})"
    )


@pytest.fixture
def marker():
    return f"probe-{os.getpid()}-{time.monotonic_ns()}"


def test_nothing_outlives_the_program(walls, marker):
    ran = run(straying(marker, 0), SandboxSettings())
    assert (ran.output, ran.status) == ("strayed\n", 0)
    assert not _running(marker)


def test_nothing_outlives_a_stop(walls, marker):
    ran = run(straying(marker, 300), SandboxSettings(seconds=4))
    assert (ran.output, ran.problem) == ("strayed\n", "[stopped: it ran longer than 4 s]")
    assert not _running(marker)


def test_nothing_outlives_a_cancellation(walls, marker):
    async def cancelled():
        running = asyncio.create_task(run_program(straying(marker, 300), SandboxSettings()))
        while not (_running(marker) or running.done()):
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert not _running(marker)


def test_nothing_outlives_us(walls, marker):
    """The process that runs the sandbox is killed without a chance to clean up."""
    code = (
        "import asyncio\nfrom lts_jax.live.tools.sandbox import SandboxSettings, run_program\n"
        f"asyncio.run(run_program({straying(marker, 300)!r}, SandboxSettings()))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as runner:
        for wanted in (True, False):
            ends = time.monotonic() + 200
            while bool(_running(marker)) != wanted and time.monotonic() < ends:
                time.sleep(0.02)
            assert bool(_running(marker)) == wanted
            runner.kill()


def _running(marker):
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                found += [process] if marker.encode() in file.read().split(b"\0") else []
        except OSError:
            continue
    return found
