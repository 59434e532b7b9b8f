"""What bubblewrap does, where it is not installed: namespaces of one's own, and a root with nothing in it but Python.

Runs alone (`python -I -S -c`), outside; words after `-c`: JSON of {"read": folders to show read-only, "links": {link: target},
"megabytes": of the work folder}, then the command. Its exit code is the command's.
"""

# pathlib takes 5 ms to import
# ruff: noqa: PTH102, PTH103, PTH112, PTH120, PTH123, PTH211
import ctypes
import json
import os
import signal
import sys

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NOSUID, NODEV, REMOUNT, BIND, RECURSIVE, PRIVATE, DETACH = 1, 2, 4, 32, 4096, 16384, 1 << 18, 2
PDEATHSIG = 1
NOBODY, ROOT = 65534, "/tmp"  # any folder that is there: the new root is laid over it
libc = ctypes.CDLL(None, use_errno=True)


def called(name, *words):
    given = [w.encode() if isinstance(w, str) else w for w in words]
    if getattr(libc, name)(*given):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    called("mount", source, target, kind, ctypes.c_ulong(flags), data)


def written(path, text):
    with open(path, "w") as file:
        file.write(text)


def house(read, links, megabytes):
    """A new root: `read` as they are, read-only; a work folder that is forgotten; nothing else."""
    mount(None, "/", None, RECURSIVE | PRIVATE)
    mount("tmpfs", ROOT, "tmpfs", NOSUID | NODEV, "size=1m,mode=755")
    for source in read:
        target = ROOT + source
        folder = os.path.isdir(source)
        os.makedirs(target if folder else os.path.dirname(target), exist_ok=True)
        if not folder:
            written(target, "")
        mount(source, target, None, BIND | RECURSIVE)
        if not source.startswith("/dev/"):
            # flags that the host's mount has can't be taken off in a namespace: they are asked for again
            flags = os.statvfs(source).f_flag & (2 | 4 | 8 | 1024 | 2048 | 4096)
            kept = sum(b for a, b in ((2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21)) if flags & a)
            mount(None, target, None, BIND | REMOUNT | READ_ONLY | NOSUID | kept)
    for link, target in links.items():
        os.symlink(target, ROOT + link)
    os.mkdir(ROOT + "/work")
    mount("tmpfs", ROOT + "/work", "tmpfs", NOSUID | NODEV, f"size={megabytes}m,mode=700")
    os.chdir(ROOT)
    number = {"x86_64": 155, "aarch64": 41}[os.uname().machine]  # glibc has no pivot_root
    if libc.syscall(ctypes.c_long(number), b".", b"."):
        raise OSError(ctypes.get_errno(), "pivot_root is refused")
    called("umount2", ".", DETACH)
    mount(None, "/", None, REMOUNT | BIND | READ_ONLY | NOSUID | NODEV)
    os.chdir("/work")


def drop():
    """No right is left of those that come with a namespace of one's own."""
    with_header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    number = {"x86_64": 126, "aarch64": 91}[os.uname().machine]  # capset
    for capability in range(64):
        libc.prctl(24, ctypes.c_ulong(capability), 0, 0, 0)  # PR_CAPBSET_DROP; past the last it fails
    if libc.syscall(ctypes.c_long(number), with_header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset is refused")


def waited(child):
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def main():
    asked, command = json.loads(sys.argv[1]), sys.argv[2:]
    user, group = os.geteuid(), os.getegid()
    called("prctl", PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    called("unshare", NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS | NEWCGROUP)
    written("/proc/self/setgroups", "deny")
    written("/proc/self/uid_map", f"{NOBODY} {user} 1")
    written("/proc/self/gid_map", f"{NOBODY} {group} 1")
    written("/proc/sys/user/max_user_namespaces", "0")  # no namespace within this one
    if child := os.fork():
        waited(child)
    called("prctl", PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    house(**asked)
    called("sethostname", "sandbox", ctypes.c_size_t(7))
    if child := os.fork():  # this one is the namespace's first process: when it ends, all others are killed
        waited(child)
    os.setsid()
    drop()
    os.execve(command[0], command, {})


try:
    main()
except OSError as error:
    sys.stderr.write(f"sandbox: {error.strerror or error}\n")
    os._exit(125)
