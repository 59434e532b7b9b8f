"""Runs inside the sandbox, alone (`python -I -S -c`): takes the last rights away, then runs the program.

Words after `-c`: the file descriptor of {"code", "files", "limits", "channel"} as JSON. Only the standard library is here.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys

DENIED = {  # names: numbers on x86_64, aarch64 (None: there is no such call). They fail with "Operation not permitted"
    "fork": (57, None), "vfork": (58, None), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438),  # no other process is started or looked into
    "socket": (41, 198), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),  # nobody is talked to: vsock is in no namespace
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "userfaultfd": (323, 282),  # memory that RLIMIT_AS does not count
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "personality": (135, 92),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "iopl": (172, None), "ioperm": (173, None), "fanotify_init": (300, 262),
}  # fmt: skip
ARCHITECTURES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}  # column above, the kernel's name, clone
CLONE3, CLONE_THREAD, ENOSYS, EPERM = 435, 0x10000, 38, 1
ALLOW, FAIL, KILL = 0x7FFF0000, 0x50000, 0x80000000  # SECCOMP_RET_ALLOW, _ERRNO, _KILL_PROCESS
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of classic BPF
NO_NEW_PRIVS, SET_SECCOMP, SET_DUMPABLE = 38, 22, 4  # of prctl


def filtered():
    """A seccomp filter, struct sock_filter[]: no process but this one, whose threads may be many; none of what is denied."""
    column, arch, clone = ARCHITECTURES[platform.machine()]
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, arch), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    lines += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, KILL)]  # x32: the same calls under other numbers
    for number in [numbers[column] for numbers in DENIED.values()]:
        if number is not None:
            lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL | EPERM)]
    lines += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, FAIL | ENOSYS)]  # its flags can't be read here; glibc takes clone then
    lines += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, 16), (ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, FAIL | EPERM)]
    return b"".join(struct.pack("HBBI", *line) for line in [*lines, (RETURN, 0, 0, ALLOW)])


def confine(limits):
    libc = ctypes.CDLL(None, use_errno=True)
    megabyte = 1 << 20
    for what, most in (
        ("AS", limits["memory_mb"] * megabyte),
        ("CPU", int(limits["seconds"]) + 1),
        ("FSIZE", limits["file_mb"] * megabyte),
        ("NOFILE", 64),
        ("CORE", 0),
        ("MEMLOCK", 0),
        ("MSGQUEUE", 0),
    ):
        resource.setrlimit(getattr(resource, f"RLIMIT_{what}"), (most, most)) if hasattr(resource, f"RLIMIT_{what}") else None
    program = filtered()
    held = ctypes.create_string_buffer(program)
    fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(held)))
    for words in ((SET_DUMPABLE, 0, 0, 0, 0), (NO_NEW_PRIVS, 1, 0, 0, 0), (SET_SECCOMP, 2, ctypes.addressof(fprog), 0, 0)):
        if libc.prctl(words[0], *map(ctypes.c_ulong, words[1:])):
            raise OSError(ctypes.get_errno(), f"prctl({words[0]}) is refused")


def main():
    with os.fdopen(int(sys.argv[1]), "rb") as given:
        asked = json.load(given)
    if platform.machine() not in ARCHITECTURES:
        sys.exit(f"sandbox: no list of system calls for {platform.machine()}")
    for name, text in asked["files"].items():
        with open(name, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - pathlib takes 5 ms to import
            file.write(text)
    names = {"__name__": "__main__", "__builtins__": __builtins__, "__file__": "program.py"}
    sys.argv[:] = ["program.py", *map(str, asked["channel"])]
    confine(asked["limits"])
    module = sys.modules["__main__"].__dict__
    module.clear()
    module.update(names)
    exec(compile(asked["code"], "program.py", "exec"), module)


main()
