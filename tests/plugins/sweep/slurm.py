"""A Slurm of one node, in a folder: munge, the controller and the node's daemon, without systemd (Debian: apt install slurm-wlm munge)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "sinfo")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """What a Slurm needs and this machine lacks."""
    return [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")] + (
        [] if os.geteuid() == 0 else ["root"]
    )


@contextmanager
def slurm(folder: Path, *, cpus: int = 2) -> Iterator[dict[str, str]]:
    """The environment in which sbatch and srun talk to it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, cpus=cpus, controller=_port(), daemon=_port()))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o600)
    env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    files = [f"--socket={folder}/munge.sock", f"--key-file={key}", f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log"]
    started = [subprocess.Popen(["munged", "--foreground", "--force", f"--seed-file={folder}/munge.seed", *files], env=env)]
    try:
        _until(lambda: (folder / "munge.sock").exists(), "munged", folder / "munge.log")
        for daemon in ("slurmctld", "slurmd"):
            with (folder / f"{daemon}.out").open("w") as out:
                started.append(subprocess.Popen([daemon, "-D"], env=env, stdout=out, stderr=out))
        _until(lambda: "idle" in _said(["sinfo", "-h", "-o", "%t"], env), "the node", folder / "slurmd.log")
        yield env
    finally:
        subprocess.run(["scancel", "--user=root"], env=env, capture_output=True)
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _said(words: list[str], env: dict[str, str]) -> str:
    return subprocess.run(words, env=env, capture_output=True, text=True).stdout


def _until(true, what: str, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up:\n{log.read_text()[-3000:] if log.exists() else '(no log)'}")
        time.sleep(0.2)


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
