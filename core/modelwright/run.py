"""Run: one execution of a recipe in a folder of its own. A stage that was finished with the same identity is not run again."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from modelwright import launch
from modelwright.assemble import Bound, assemble, made, problems
from modelwright.component import Artifact, Job
from modelwright.errors import ModelwrightError, Pruned
from modelwright.hooks import Hooks, discover
from modelwright.manifest import git_state, identity, measured, plugins, reads, surroundings, versions, write_json, write_text

CONFIG, MANIFEST = "config.yaml", "manifest.json"


def start(config: dict[str, Any], folder: Path, overrides: list[str]) -> dict[str, Any]:
    """Run a frozen config in `folder`, or go on with this same run there: its manifest. ModelwrightError: the recipe has a problem."""
    if found := problems(assemble(config, discover().registry), config):
        raise ModelwrightError("\n".join(found))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if not (folder / CONFIG).exists():
            if any(path.name not in {".lock", MANIFEST} for path in folder.iterdir()):
                raise ModelwrightError(f"run.dir: {folder} is not empty and is not a run; name another folder", "run.dir")
            write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
            (folder / MANIFEST).unlink(missing_ok=True)  # of a job that failed before it had a config
        elif read_config(folder) | {"run": config["run"]} != config:
            raise ModelwrightError(f"run.dir: {folder} holds a run with other settings; resume it, or name another folder", "run.dir")
        return _go_on(folder.absolute(), overrides)


def resume(folder: Path) -> dict[str, Any]:
    """Run whatever of the run in `folder` is not finished, and return its manifest."""
    read_config(folder)
    with locked(folder / ".lock"):
        return _go_on(folder.absolute(), [])


def _go_on(folder: Path, overrides: list[str]) -> dict[str, Any]:
    config, hooks = read_config(folder), discover()
    told = {key: config[key] for key in ("recipe", "seed", "from", "next")}
    manifest = told | {"overrides": overrides, "versions": versions(), "plugins": plugins(), "git": git_state(), "stages": {}}
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else manifest
    bound = assemble(config, hooks.registry)
    if found := problems([b for b in bound if manifest["stages"].get(b.name, {}).get("status") != "finished"], config):
        raise ModelwrightError("\n".join(found))
    (folder / launch.LOGS).mkdir(exist_ok=True)
    manifest |= {"status": "running", "started": time.time(), "error": None}
    write_json(folder / MANIFEST, manifest)
    error: BaseException | None = None
    print(f"run: {folder}", flush=True)
    try:
        hooks.call("on_run_start", run=folder, config=config)
        for number, b in enumerate(bound, 1):
            _stage(b, f"[{number}/{len(bound)}] {b.name}", folder, config, manifest, hooks)
        manifest["status"] = "finished"
    except BaseException as e:
        error = e
        ended = "stopped" if isinstance(e, KeyboardInterrupt) else "pruned" if isinstance(e, Pruned) else "failed"
        manifest |= {"status": ended, "error": str(e) or type(e).__name__}
        if ended == "failed":
            hooks.call("on_error", run=folder, error=e)
        for record in manifest["stages"].values():
            record["status"] = record["status"].replace("running", manifest["status"])
        raise
    finally:
        manifest["ended"] = time.time()
        with contextlib.suppress(OSError):  # on a full disk, the first error is the one to tell
            write_json(folder / MANIFEST, manifest)
        hooks.call("on_run_end", run=folder, error=error)
    return manifest


def read_config(folder: Path) -> dict[str, Any]:
    """The frozen config of a run."""
    text = (str, type(None))
    return _read(folder / CONFIG, yaml.safe_load, {"recipe": text, "seed": int, "stages": list, "from": text, "run": dict})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run."""
    found = _read(folder / MANIFEST, json.loads, {"status": str, "overrides": list, "stages": dict})
    if any(not isinstance(record, dict) or "status" not in record for record in found["stages"].values()):
        raise ModelwrightError(f"{folder / MANIFEST} is damaged: a stage has no status")
    return found


def _read(file: Path, parse: Callable[[str], Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of a run, which may be anybody's, holds: a mapping with these keys, of these types."""
    try:
        found = parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = ", ".join(str(p.parent) for p in sorted(Path("runs").rglob(CONFIG), key=os.path.getmtime)[-3:]) or "none"
        raise ModelwrightError(f"{file.parent} is not the folder of a run (it has no {file.name}); the latest runs here: {near}") from None
    except (yaml.YAMLError, ValueError) as e:
        raise ModelwrightError(f"{file} is damaged: {' '.join(str(e).split())}") from None
    for key, kind in wanted.items():
        if not isinstance(found, dict) or not isinstance(found.get(key), kind):
            raise ModelwrightError(f"{file} is damaged: {key} is {found.get(key) if isinstance(found, dict) else found!r:.60}")
    return dict(found)


def job_of(b: Bound, folder: Path, config: Mapping[str, Any], hooks: Hooks) -> Job:
    """The job of a stage in a run: where it writes, and where its inputs are."""
    inputs = {kind: kind(_producer(b, kind, folder, config)[0] / kind.name) for kind in b.producers}
    return Job(folder, folder / b.name, config["seed"], b.parts, inputs, hooks, config)


def _stage(b: Bound, title: str, folder: Path, config: dict[str, Any], manifest: dict[str, Any], hooks: Hooks) -> None:
    job = job_of(b, folder, config, hooks)
    inputs = {kind.name: _producer(b, kind, folder, config)[1] for kind in b.producers}
    who = identity(b, config["seed"], inputs)
    record = manifest["stages"].get(b.name, {})
    if record.get("identity") == who and record.get("status") == "finished" and _intact(job.out, record):
        print(f"{title}: finished already", flush=True)
        return
    cache = Path(os.environ.get("MODELWRIGHT_CACHE") or Path.home() / ".cache" / "modelwright")
    pointer = cache / "finished" / f"{who}-{surroundings(b)}.json"
    with contextlib.ExitStack() as held:
        if config["run"]["reuse"]:
            with contextlib.suppress(OSError):
                pointer.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(pointer.with_suffix(".lock"), f"{title}: another run is making the same; waiting for it"))
        if config["run"]["reuse"] and (earlier := _reusable(pointer, folder)):
            job.out.unlink() if job.out.is_symlink() else shutil.rmtree(job.out, ignore_errors=True)
            job.out.symlink_to(earlier["out"])
            manifest["stages"][b.name] = {**earlier["record"], "reused_from": earlier["out"]}
            print(f"{title}: the same as in {earlier['out']}, taken from there (run.reuse=false makes it again)", flush=True)
        else:
            if job.out.is_symlink():
                job.out.unlink()
            elif record.get("status") == "finished" and job.out.exists():
                job.out.rename(job.out.with_name(f"{b.name}.{int(time.time())}"))  # finished work is put aside, never deleted
            elif not (b.stage.resumable and record.get("identity") == who):
                shutil.rmtree(job.out, ignore_errors=True)
            job.out.mkdir(exist_ok=True)
            manifest["stages"][b.name] = {"status": "running", "identity": who, "inputs": inputs}
            write_json(folder / MANIFEST, manifest)
            print(title, flush=True)
            began, ranks = time.monotonic(), b.stage.ranks(b.parts)
            results = b.stage.run(job) if ranks is None else launch.run_ranks(folder, b.name, ranks)
            seconds = round(time.monotonic() - began, 1)
            for kind in b.stage.makes:
                if not (job.out / kind.name).exists():
                    raise ModelwrightError(f"stage {b.name!r} ended without making {kind.name} ({job.out / kind.name})")
            artifacts = {kind.name: measured(job.out / kind.name) for kind in b.stage.makes}
            record = {"status": "finished", "identity": who, "inputs": inputs, "reads": reads(b), "ranks": ranks or 0, "seconds": seconds,
                      "artifacts": artifacts, "results": dict(results or {})}  # fmt: skip
            manifest["stages"][b.name] = record
            with contextlib.suppress(OSError):  # a cache that can't be written costs time later, and nothing now
                write_json(pointer, {"out": str(job.out), "record": record})
            print(f"{title}: done in {seconds:.1f} s", flush=True)
    for kind in (kind for kind in b.stage.makes if kind.published):
        (folder / kind.name).unlink(missing_ok=True)
        (folder / kind.name).symlink_to(Path(b.name) / kind.name)
    write_json(folder / MANIFEST, manifest)


def _producer(b: Bound, kind: type[Artifact], folder: Path, config: Mapping[str, Any]) -> tuple[Path, str]:
    """The folder of the finished stage that made an input, in this run or in one that it goes back to by `from`, and the input's hash."""
    run = folder if b.producers[kind] else Path(config["from"]).absolute()
    for out, artifacts in made(run):
        if kind.name in artifacts and out.name == (b.producers[kind] or out.name):
            return out, artifacts[kind.name]["hash"]
    raise ModelwrightError(f"from: no finished stage of {run} made {kind.name}, which stage {b.name!r} takes", "from")


def _intact(out: Path, record: Mapping[str, Any]) -> bool:
    return all((out / n).exists() and measured(out / n) == a for n, a in record["artifacts"].items())


def _reusable(pointer: Path, folder: Path) -> dict[str, Any] | None:
    try:
        earlier = json.loads(pointer.read_text(encoding="utf-8"))
        whole = not Path(earlier["out"]).is_relative_to(folder) and _intact(Path(earlier["out"]), earlier["record"])
    except (OSError, ValueError, KeyError):
        return None
    return earlier if whole else None


@contextlib.contextmanager
def locked(file: Path, wait: str = "") -> Iterator[None]:
    """Hold the lock on `file`; while another process does, say `wait` and wait, or raise when there is nothing to say."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise ModelwrightError(f"another process is working in {file.parent}") from None
            print(wait, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
