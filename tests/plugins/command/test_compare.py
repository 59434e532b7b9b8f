from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tracker"))
from sweeps import ADAMW, MUON, config, losses, write_run
from test_wandb import records

from modelwright.errors import ModelwrightError
from modelwright_plugins.command.compare import Compare


def results(loss: float, bits: float) -> dict[str, dict[str, float]]:
    return {"train": {"loss": loss, "tokens": 204800}, "evaluate": {"bits_per_byte": bits}}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Seven jobs: three finished (2 is the best), one killed, one pruned, one failed, one failed before it had a config."""
    folder = tmp_path / "sweep"

    def job(number: int, optimizer: dict[str, object], lr: float, **told: object) -> None:
        name, where = optimizer["name"], {"dir": str(folder / str(number)), "reuse": True}
        settings = config(optimizer=optimizer | {"lr": lr}, run=where, tracker={"wandb": {"name": "wandb", "run_name": str(number)}})
        write_run(folder / str(number), settings, overrides=["recipe=pretrain/tiny", f"optimizer={name}", f"optimizer.lr={lr}"], **told)  # type: ignore[arg-type]

    job(0, ADAMW, 0.001, results=results(5.0, 2.0), metrics=losses(5.0))
    job(1, ADAMW, 0.003, results=results(4.5, 1.8), metrics=losses(4.5))
    job(2, MUON, 0.02, results=results(4.25, 1.7), metrics=losses(4.25))
    job(3, MUON, 0.06, status="failed", error="train: the loss\nis not a number", metrics=losses(6.0)[:20])
    job(4, ADAMW, 0.01, status="running", metrics=losses(4.4)[:60])
    job(5, MUON, 0.003, status="pruned", error="step 50: worse than the median", metrics=losses(5.5)[:50])
    early = ["recipe=pretrain/tiny", "optimizer=adamw", "optimizer.lr=-1"]
    write_run(folder / "6", None, status="failed", error="override optimizer.lr=-1: lr must not be negative", overrides=early)
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert Compare().run(list(words)) == 0
    return capsys.readouterr().out.strip("\n").splitlines()


def order(lines: list[str]) -> list[str]:
    """The first column, below the head and above the first sentence."""
    rows = lines[1 : next(i for i, line in enumerate(lines) if not line or line.startswith(("Best", "*", "(")) or ": " in line)]
    return [row.split()[0] for row in rows]


def test_the_table_of_a_sweep(sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweep.parent)
    assert said(capsys, "sweep") == [
        "run  status    evaluate.bits_per_byte  optimizer.name  optimizer.lr  train.loss  train.tokens",
        "2    finished  1.7                     muon            0.02          4.25        204800",
        "1    finished  1.8                     adamw           0.003         4.5         204800",
        "0    finished  2                       adamw           0.001         5           204800",
        "4    killed    -                       adamw           0.01          -           -",
        "5    pruned    -                       muon            0.003         -           -",
        "3    failed    -                       muon            0.06          -           -",
        "6    failed    -                       adamw           -1            -           -",
        "Best first: the lowest evaluate.bits_per_byte.",
        "5 pruned: step 50: worse than the median",
        "3 failed: train: the loss is not a number",
        "6 failed: override optimizer.lr=-1: lr must not be negative",
        "",
        "The runs are in sweep; open sweep/compare.html",
    ]
    assert (sweep / "compare.html").exists()


def test_the_sweep_names_its_metric_and_direction(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"words": ["-m"], "sweeper": "optuna", "metric": ["train.loss"], "direction": ["maximize"]}
    (sweep / "sweep.json").write_text(json.dumps(told))
    lines = said(capsys, str(sweep))
    assert order(lines)[:3] == ["0", "1", "2"] and "Best first: the highest train.loss." in lines
    assert order(said(capsys, str(sweep), "--by", "train.loss"))[:3] == ["0", "1", "2"]  # the sweep's direction
    assert order(said(capsys, str(sweep), "--by", "train.loss", "--minimize"))[:3] == ["2", "1", "0"]
    assert order(said(capsys, str(sweep), "--by=evaluate.bits_per_byte"))[:3] == ["2", "1", "0"]
    assert order(said(capsys, str(sweep), "--by", "evaluate.bits_per_byte", "--maximize"))[:3] == ["0", "1", "2"]
    (sweep / "sweep.json").write_text(json.dumps(told | {"metric": None, "direction": None}))
    assert order(said(capsys, str(sweep)))[:3] == ["2", "1", "0"]


def test_the_front_of_several_objectives_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Loss down, speed up. b beats a in both; d and c trade one for the other; e equals c in loss and is slower; f has no speed."""
    points = {"a": (3.0, 10.0), "b": (2.5, 11.0), "c": (2.0, 9.0), "d": (2.2, 12.0), "e": (2.0, 8.0), "f": (1.0, None)}
    for seed, (name, (loss, speed)) in enumerate(points.items()):
        numbers = {"loss": loss} | ({"speed": speed} if speed else {})
        write_run(tmp_path / "s" / name, config(seed=seed), results={"train": numbers})
    lines = said(capsys, str(tmp_path / "s"), "--by", "train.loss", "--by", "train.speed", "--maximize")
    assert lines[0].split() == ["run", "status", "train.loss", "train.speed", "seed"]
    assert order(lines) == ["c*", "d*", "f", "e", "b", "a"]
    assert "* on the Pareto front of lowest train.loss and highest train.speed" in lines
    told = {"words": [], "metric": ["train.loss", "train.speed"], "direction": ["minimize", "maximize"]}
    (tmp_path / "s" / "sweep.json").write_text(json.dumps(told))
    assert said(capsys, str(tmp_path / "s"))[:-1] == lines[:-1]


def test_runs_of_several_places_have_names_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, lr in (("a/0", 1e-3), ("b/0", 3e-3)):
        write_run(tmp_path / place, config(optimizer=ADAMW | {"lr": lr}), results=results(1 / lr, 1 / lr))
    lines = said(capsys, "a", "b/0", "b", "--page", "out.html")
    assert [line.split() for line in lines[:3]] == [
        ["run", "status", "evaluate.bits_per_byte", "optimizer.lr", "train.loss", "train.tokens"],
        ["b/0", "finished", "333.3", "0.003", "333.3", "204800"],
        ["a/0", "finished", "1000", "0.001", "1000", "204800"],
    ]
    assert lines[-1] == "Open out.html" and (tmp_path / "out.html").exists()
    assert said(capsys, "a/0", "b/0")[-1] == "Open compare.html" and (tmp_path / "compare.html").exists()


def test_a_run_that_somebody_works_on_is_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "r", config(), status="running")
    with (run / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert said(capsys, str(run), "--page", str(tmp_path / "p.html"))[1].split() == ["r", "running"]
    assert said(capsys, str(run), "--page", str(tmp_path / "p.html"))[1].split() == ["r", "killed"]
    (run / ".lock").unlink()
    assert said(capsys, str(run), "--page", str(tmp_path / "p.html"))[1].split() == ["r", "killed"]


def test_lists_and_numbers_are_told_as_in_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = {"a": {"name": "gopher_quality", "min_words": 50}, "b": {"name": "c4_quality"}}
    one = {"a": {"name": "gopher_quality", "min_words": 50}}
    for name, filters, clip, rate in (("x", two, None, 0.1 + 0.2), ("y", one, 1.0, 3e-4), ("z", {}, True, 1)):
        write_run(tmp_path / "s" / name, config(filter=filters, train={"clip": clip, "rate": rate}))
    lines = said(capsys, str(tmp_path / "s"))
    assert [line.split() for line in lines[:4]] == [
        ["run", "status", "filter", "train.clip", "train.rate"],
        ["x", "finished", "[a,b]", "null", "0.3"],
        ["y", "finished", "[a]", "1", "0.0003"],
        ["z", "finished", "[]", "true", "1"],
    ]


def test_a_narrow_terminal_gets_what_fits(sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    lines = said(capsys, str(sweep))
    assert lines[0].split() == ["run", "status", "evaluate.bits_per_byte", "optimizer.name"]
    assert "(the terminal is too narrow for optimizer.lr, train.loss, train.tokens: the page has them)" in lines


def test_columns_stand_as_in_the_command_line_and_a_number_of_the_same_name_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, steps, seed in (("0", 10, 2), ("1", 20, 1)):
        settings = config(seed=seed, train={"steps": steps, "depth": steps})
        write_run(tmp_path / "s" / name, settings, overrides=[f"train.steps={steps}", f"+seed={seed}"], results={"train": {"steps": steps}})
    assert said(capsys, str(tmp_path / "s"))[0].split() == ["run", "status", "train.steps", "seed", "train.depth", "train.steps(result)"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "compare which runs?"),
        (["SWEEP/nowhere"], "SWEEP/nowhere is neither a run nor a sweep"),
        (
            ["SWEEP", "--by", "evaluate.bits_per_bite"],
            "--by evaluate.bits_per_bite: no run has this number; did you mean 'evaluate.bits_per_byte'?",
        ),
        (["SWEEP", "--by"], "--by needs a value: --by METRIC"),
        (["SWEEP", "--page", "--wandb", "x"], "--page needs a value: --page PAGE"),
        (["SWEEP", "--maximize"], "--maximize of what? write it after --by METRIC"),
        (["SWEEP", "--maximise"], "compare has no option '--maximise'; did you mean '--maximize'?"),
        (["SWEEP", "--page", "SWEEP/no/where.html"], "no/where.html: No such file or directory; name another file: --page FILE"),
    ],
)
def test_bad_input_is_one_line(sweep: Path, words: list[str], told: str) -> None:
    with pytest.raises(ModelwrightError) as error:
        Compare().run([word.replace("SWEEP", str(sweep)) for word in words])
    assert told.replace("SWEEP", str(sweep)) in str(error.value) and "\n" not in str(error.value)


def test_damaged_files_are_named(sweep: Path) -> None:
    (sweep / "sweep.json").write_text('{"words": [], "metric": ["a", "b"], "direction": ["minimize"]}')
    with pytest.raises(ModelwrightError, match=r"sweep\.json is damaged: it has 2 metrics and 1 directions"):
        Compare().run([str(sweep)])
    (sweep / "sweep.json").write_text("{")
    with pytest.raises(ModelwrightError, match=r"sweep\.json can't be read: "):
        Compare().run([str(sweep)])
    (sweep / "sweep.json").unlink()
    (sweep / "2" / "manifest.json").write_text('{"status": "fini')
    with pytest.raises(ModelwrightError, match=r"2/manifest\.json is damaged"):
        Compare().run([str(sweep)])


def test_the_command_line_exits_with_0_though_runs_failed_and_with_2_for_a_typo(sweep: Path) -> None:
    def exit_code(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "modelwright", "compare", str(sweep), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stderr

    assert exit_code() == (0, "")
    code, errors = exit_code("--by", "train.los")
    assert code == 2 and errors.count("\n") == 1 and "did you mean 'train.loss'?" in errors


@pytest.fixture
def logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    return lambda: next((tmp_path / "sweep" / "wandb").glob("offline-run-*"))


def logged(file: Path) -> dict[str, object]:
    """What the only `log` of a `.wandb` file held, with dots between nested keys."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    assert len(rows) == 1
    return rows[0]


def test_the_table_and_the_page_go_to_wandb(sweep: Path, logged_out: Callable[[], Path], capsys: pytest.CaptureFixture[str]) -> None:
    last = said(capsys, str(sweep), "--wandb", "mine")[-1]
    run = logged_out()
    assert last == f"W&B: written to {run}; send it with: wandb sync {run}"
    import wandb

    wandb.teardown()  # as when the process ends: only then is all of the file written
    row = logged(next(run.glob("*.wandb")))
    assert (row["runs._type"], row["runs.nrows"], row["page._type"]) == ("table-file", 7, "html-file")
    table = json.loads((run / "files" / row["runs.path"]).read_text())
    assert table["columns"] == [
        "run", "status", "optimizer.name", "optimizer.lr", "evaluate.bits_per_byte", "train.loss", "train.tokens", "error",
    ]  # fmt: skip
    assert table["data"][0] == ["2", "finished", "muon", 0.02, 1.7, 4.25, 204800, None]
    assert table["data"][-1] == ["6", "failed", "adamw", -1, None, None, None, "override optimizer.lr=-1: lr must not be negative"]
    assert (run / "files" / row["page.path"]).read_text() == (sweep / "compare.html").read_text()


def test_a_bad_key_for_wandb_costs_nothing_but_a_line(
    sweep: Path, logged_out: Callable[[], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    last = said(capsys, str(sweep), "--wandb", "mine")[-1]
    assert last.startswith(f"W&B: written to {logged_out()}; send it with: ") and "it could not be sent now: " in last
    assert capsys.readouterr().err == ""


def test_runs_evaluated_on_other_text_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, shards in {"0": "a", "1": "a", "2": "b"}.items():
        write_run(tmp_path / "s" / name, config(seed=int(name)), results={"evaluate": {"bits_per_byte": 1.0}}, shards=shards)
    write_run(tmp_path / "s" / "3", config(seed=3), results={"train": {"loss": 1.0}})  # evaluated on nothing
    assert Compare().run([str(tmp_path / "s")]) == 0
    assert "warning: Evaluated on other text than most, so that their numbers do not compare: 2.\n" in capsys.readouterr().out
    assert "do not compare: 2." in (tmp_path / "s" / "compare.html").read_text()
