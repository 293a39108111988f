"""Walls without bubblewrap: namespaces, mounts and the system-call filter, made by the child itself before it runs.

This file runs in the child, on the standard library alone. Started by an ordinary user it makes a user namespace and
has rights in there only; started by root it makes the other namespaces as root and then becomes a user of its own.
Order: namespaces; a new root of read-only binds and one small file system in memory; all rights and new privileges
given up; the filter; the program. Any step that fails ends it before the program is read. Linux 5.12 or newer.
"""

import ctypes
import os
import struct
import sys

if __package__:  # imported by a test; in the child both are modules of their own
    from lts_jax.live.tools import sandbox_inside
else:
    import sandbox_inside  # type: ignore[no-redef]

FAILED = 125
_SIGKILL = 9  # importing signal would take longer than all mounts
_NEW_USER, _NEW_OTHERS = 0x10000000, 0x6E020000  # CLONE_NEWUSER; CLONE_NEWNS|CGROUP|UTS|IPC|PID|NET
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXECUTION = 1, 2, 4, 8  # MS_* and MOUNT_ATTR_* agree here
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 4096, 16384, 1 << 18, 2
_AT_RECURSIVE, _MOUNT_SETATTR = 0x8000, 442
_PIVOT_ROOT, _CAPSET = {"x86_64": (155, 126), "aarch64": (41, 91)}.get(os.uname().machine, (-1, -1))
_PARENT_DEATH, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 4, 22, 38
_DEVICES = ("null", "zero", "full", "random", "urandom")
_NOBODY = 65534


class Options:
    """What the command line says, see `read_options`."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.inputs: list[tuple[str, str]] = []
        self.scratch_bytes = 0
        self.work_folder = ""
        self.filter = b""
        self.user = 0
        self.inside: list[str] = []


def read_options(arguments: list[str]) -> Options:
    """`show PATH`, `link TARGET PLACE`, `input PATH NAME`, `scratch BYTES`, `work PLACE`, `filter HEX`, `user ID`, and
    last `inside` with the numbers of sandbox_inside."""
    options, rest = Options(), iter(arguments)
    for word in rest:
        if word == "show":
            options.shown.append(next(rest))
        elif word == "link":
            options.links.append((next(rest), next(rest)))
        elif word == "input":
            options.inputs.append((next(rest), next(rest)))
        elif word == "scratch":
            options.scratch_bytes = int(next(rest))
        elif word == "work":
            options.work_folder = next(rest)
        elif word == "filter":
            options.filter = bytes.fromhex(next(rest))
        elif word == "user":
            options.user = int(next(rest))
        elif word == "inside":
            options.inside = list(rest)
    return options


def start(arguments: list[str]) -> None:
    """Build the walls and run the program from standard input in them. Never returns."""
    options = read_options(arguments)
    try:
        _die_with_parent()
        _new_namespaces(as_root=bool(options.user))
        alive, held = os.pipe()
        told, tell = os.pipe()
        first = os.fork()
    except OSError as error:
        _fail(error)
    ready = int(options.inside[-1])
    if first:
        _close(alive, tell, ready)
        _hand_on(told, first)
    try:
        _close(held, told)
        _first_process(options)
        program = os.fork()
    except OSError as error:
        _fail(error)
    if not program:
        os.close(tell)
        _run_program(options, alive)
        sys.exit(0)
    _close(0, 1, 2, ready)
    _outlive(program, tell, alive)


def _first_process(options: Options) -> None:
    """Process 1 of the new namespace: when it ends the kernel kills all others in there."""
    _build_root(options)
    _check(_libc.sethostname(b"sandbox", 7), "host name")
    _give_up_rights(options)
    _die_with_parent()


def _run_program(options: Options, alive: int) -> None:
    try:
        # The launcher may have died before we asked to die with it: then the pipe it held is closed.
        os.set_blocking(alive, False)
        try:
            orphan = os.read(alive, 1) == b""
        except BlockingIOError:
            orphan = False
        os.close(alive)
        if orphan:
            os._exit(FAILED)
        sandbox_inside.start(options.inside)
    except OSError as error:
        _fail(error)


def _new_namespaces(*, as_root: bool) -> None:
    user, group = os.getuid(), os.getgid()
    if as_root:
        _check(_libc.unshare(_NEW_OTHERS), "namespaces")
        return
    _check(_libc.unshare(_NEW_OTHERS | _NEW_USER), "user namespace")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{_NOBODY} {user} 1")
    _write("/proc/self/gid_map", f"{_NOBODY} {group} 1")


def _build_root(options: Options) -> None:
    """A root in memory with the shown paths bound read-only; the old one is gone afterwards."""
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    # Sources may lie below /tmp, so the old root is first moved to a place of the new one, then everything is bound.
    _mount("tmpfs", "/tmp", "tmpfs", _NO_SETUID | _NO_DEVICES, "size=1m,nr_inodes=8192,mode=755")
    os.mkdir("/tmp/new")
    os.mkdir("/tmp/old")
    _check(_libc.syscall(_PIVOT_ROOT, b"/tmp", b"/tmp/old"), "pivot_root")
    os.chdir("/")
    for path in options.shown:
        _bind(f"/old{path}", f"/new{path}", _READ_ONLY | _NO_SETUID | _NO_DEVICES)
    for target, place in options.links:
        os.makedirs(os.path.dirname(f"/new{place}"), exist_ok=True)
        os.symlink(target, f"/new{place}")
    os.mkdir("/new/proc")
    _mount("proc", "/new/proc", "proc", _NO_SETUID | _NO_DEVICES | _NO_EXECUTION)
    for name in _DEVICES:
        _bind(f"/old/dev/{name}", f"/new/dev/{name}", _NO_SETUID | _NO_EXECUTION)
    os.symlink("/proc/self/fd", "/new/dev/fd")
    os.symlink("/tmp/.shm", "/new/dev/shm")
    _build_scratch(options)
    _mount("/new", "/new", None, _BIND | _RECURSIVE)
    os.chdir("/new")
    _check(_libc.syscall(_PIVOT_ROOT, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _DETACH), "old root")
    os.chdir("/")
    _set_attributes("/", _READ_ONLY | _NO_SETUID | _NO_DEVICES, recursive=False)
    os.chdir(options.work_folder)


def _build_scratch(options: Options) -> None:
    os.mkdir("/new/tmp")
    size = f"size={options.scratch_bytes},nr_inodes=65536,mode=1777"
    _mount("tmpfs", "/new/tmp", "tmpfs", _NO_SETUID | _NO_DEVICES, size)
    for folder in ("/new/tmp/.shm", f"/new{options.work_folder}"):
        os.mkdir(folder)
        os.chmod(folder, 0o1777)
    for source, name in options.inputs:
        _bind(f"/old{source}", f"/new{options.work_folder}/{name}", _READ_ONLY | _NO_SETUID | _NO_DEVICES)


def _bind(source: str, target: str, attributes: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(source, target, None, _BIND | _RECURSIVE)
    _set_attributes(target, attributes, recursive=True)


def _set_attributes(path: str, attributes: int, *, recursive: bool) -> None:
    # Not a remount: that would leave what is mounted below the path as it was.
    wanted = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    status = _libc.syscall(_MOUNT_SETATTR, -100, os.fsencode(path), flags, wanted, ctypes.c_size_t(len(wanted)))
    _check(status, f"attributes of {path}")


def _give_up_rights(options: Options) -> None:
    if options.user:
        os.setgroups([])
        os.setresgid(options.user, options.user, options.user)
        os.setresuid(options.user, options.user, options.user)
    _check(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check(_libc.syscall(_CAPSET, header, nothing), "capabilities")
    _check(_libc.prctl(_DUMPABLE, 1, 0, 0, 0), "own /proc")
    code = ctypes.create_string_buffer(options.filter, len(options.filter))
    program = struct.pack("@HP", len(options.filter) // 8, ctypes.addressof(code))
    _check(_libc.prctl(_SECCOMP, 2, program, 0, 0), "filter")


def _die_with_parent() -> None:
    _check(_libc.prctl(_PARENT_DEATH, _SIGKILL, 0, 0, 0), "end with the parent")


def _hand_on(told: int, first: int) -> None:
    """End with the status that process 1 tells; if it dies without a word, as it did."""
    status = os.read(told, 1)
    os._exit(status[0] if status else _exit_code(os.waitpid(first, 0)[1]))


def _outlive(program: int, tell: int, alive: int) -> None:
    """As process 1: wait for the program, kill and collect all that it left, tell its status, end after the launcher.

    The kernel takes milliseconds to dissolve the namespaces when their last process ends; nobody waits for that.
    """
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == program:
            break
    try:
        os.kill(-1, _SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except OSError:  # nobody is left
        os.write(tell, bytes([_exit_code(status)]))
    os.read(alive, 1)
    os._exit(0)


def _exit_code(status: int) -> int:
    """Of a waited process; 128 and the signal's number if a signal ended it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    status = _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _check(status, f"mount of {target}")


def _check(status: int, what: str) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def _fail(error: OSError) -> None:
    os.write(2, f"{error.strerror or error}".encode())
    os._exit(FAILED)


_libc = ctypes.CDLL(None, use_errno=True)
