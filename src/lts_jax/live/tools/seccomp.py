"""The system calls that a sandboxed program may not make, as a classic BPF program of the kernel's seccomp filter.

Namespaces hide what is outside; the filter takes away the calls with which a program could make new namespaces, mount,
look into other processes, or reserve memory that no limit counts. What is refused gives an error, so that a program
that only tries is told and goes on. A foreign calling convention (32 bit, x32) ends the program.
"""

import errno
import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, ...
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000  # SECCOMP_RET_ALLOW, _ERRNO, _KILL_PROCESS
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # offsets in struct seccomp_data, low halves
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEWNS|CGROUP|UTS|IPC|USER|PID|NET and NEWTIME
_SOCKET_FAMILIES = (1, 2, 10)  # unix, IPv4, IPv6: a vsock would reach the host of a virtual machine
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the terminal of whoever started us

# Name: (x86_64, aarch64). None: the architecture has no such call.
DENIED: dict[str, tuple[int | None, int]] = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "swapon": (167, 224), "swapoff": (168, 225), "quotactl": (179, 60), "acct": (163, 89),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "vhangup": (153, 58),
    "iopl": (172, 172), "ioperm": (173, 173), "uselib": (134, 134), "modify_ldt": (154, 154),
}  # fmt: skip
_X86_ONLY = {"iopl", "ioperm", "uselib", "modify_ldt"}
_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)


def filter_program(machine: str) -> bytes:
    """The filter for `platform.machine()`: 8 bytes per instruction (u16 code, u8 true, u8 false, u32 constant).

    Raises:
        ValueError: no table for this machine.
    """
    if machine not in _ARCHITECTURES:
        raise ValueError(f"expected a machine of {', '.join(_ARCHITECTURES)} for the sandbox's filter, got {machine!r}")
    column = 0 if machine == "x86_64" else 1
    program = _instruction(_LOAD, _ARCHITECTURE)
    program += _instruction(_EQUAL, _ARCHITECTURES[machine], 1, 0) + _instruction(_RETURN, _KILL)
    program += _instruction(_LOAD, _NUMBER)
    if machine == "x86_64":
        program += _instruction(_AT_LEAST, _X32, 0, 1) + _instruction(_RETURN, _KILL)
    for name, numbers in DENIED.items():
        number = numbers[column]
        if number is not None and (column == 0 or name not in _X86_ONLY):
            program += _instruction(_EQUAL, number, 0, 1) + _refuse(errno.EPERM)
    # The C library falls back to clone, whose flags stand in a register where a filter can see them.
    program += _instruction(_EQUAL, _CLONE3[column], 0, 1) + _refuse(errno.ENOSYS)
    # A value is looked up only after its call was recognised; then the verdict is final.
    new_namespace = _instruction(_ANY_BIT, _NEW_NAMESPACES, 0, 1) + _refuse(errno.EPERM)
    program += _when(_CLONE[column], _ARGUMENT_0, new_namespace + _instruction(_RETURN, _ALLOW))
    program += _when(_SOCKET[column], _ARGUMENT_0, _allow_only(_SOCKET_FAMILIES, errno.EAFNOSUPPORT))
    program += _when(_IOCTL[column], _ARGUMENT_1, _refuse_only(_TERMINAL_INPUT, errno.EPERM))
    return program + _instruction(_RETURN, _ALLOW)


def _instruction(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, constant)


def _refuse(error: int) -> bytes:
    return _instruction(_RETURN, _ERROR | error)


def _when(number: int, offset: int, body: bytes) -> bytes:
    return _instruction(_EQUAL, number, 0, len(body) // 8 + 1) + _instruction(_LOAD, offset) + body


def _allow_only(values: tuple[int, ...], error: int) -> bytes:
    allowed = b"".join(_instruction(_EQUAL, value, 0, 1) + _instruction(_RETURN, _ALLOW) for value in values)
    return allowed + _refuse(error)


def _refuse_only(values: tuple[int, ...], error: int) -> bytes:
    refused = b"".join(_instruction(_EQUAL, value, 0, 1) + _refuse(error) for value in values)
    return refused + _instruction(_RETURN, _ALLOW)
