from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import FORMULAS, chinchilla, kaplan, runs

from modelwright.cli import command
from modelwright.errors import ModelwrightError


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return written(tmp_path / "losses.csv", "chinchilla")


def written(file: Path, law: str, header: str = "parameters,tokens,loss") -> Path:
    o = runs(law)
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(header.split(","))
        rows.writerows(zip(o.parameters, o.tokens, o.loss, strict=True))
    return file


def rows(printed: str, title: str) -> list[list[str]]:
    """The cells of a printed table: what two spaces or more part."""
    lines = printed.splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().startswith(title))
    table = lines[first + 1 : lines.index("", first)]
    return [[cell for cell in line.split("  ") if cell] for line in table]


def test_it_prints_coefficients_budgets_and_predictions_and_writes_the_page(table, capsys):
    asked = ["scaling", "fit", str(table), "--bootstrap", "40", "--budget", "1e21,5.76e23", "--budget", "1e22"]
    assert command([*asked, "--predict", "70B,1.4T", "--predict", "1e9,2e10"]) == 0
    printed, truth = capsys.readouterr().out, FORMULAS["chinchilla"][1]
    for (name, value, interval), true in zip(rows(printed, "coefficient"), truth.values(), strict=True):
        assert float(value) == pytest.approx(true, rel=2e-3) and name in truth
        low, high = (float(end) for end in interval.split(" to "))
        assert low <= float(value) <= high
    budgets = rows(printed, "budget")
    assert [row[0].strip() for row in budgets] == ["1e21 FLOPs", "1e22 FLOPs", "5.76e23 FLOPs"]
    # Equation 4 by hand: G = (0.34 · 406.4 / (0.28 · 410.7))^(1/0.62) = 1.3446, a = 0.28 / 0.62; N = G (1e21 / 6)^a = 1.9 B
    assert float(budgets[0][1].strip().removesuffix("B")) == pytest.approx(1.3446 * (1e21 / 6) ** (0.28 / 0.62) / 1e9, rel=5e-3)
    asked_about = rows(printed, "run ")
    assert asked_about[0][0].strip() == "70B parameters, 1.4T tokens" and asked_about[0][1].strip() == "5.88e23"
    assert float(asked_about[0][2]) == pytest.approx(chinchilla(70e9, 1.4e12, **truth), abs=1e-3)
    assert float(asked_about[1][2]) == pytest.approx(chinchilla(1e9, 2e10, **truth), abs=1e-3)
    page = table.with_name("scaling.html").read_text()
    assert printed.rstrip().endswith("The page is scaling.html") and "--predict 70B,1.4T" in page and asked_about[0][2].strip() in page


def test_kaplans_law_columns_of_any_name_and_a_page_anywhere(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "odd.csv", "kaplan", "how big,how long,how bad")
    names = "parameters=how big,tokens=how long,loss=how bad"
    out = tmp_path / "law.html"
    command(["scaling", "fit", str(file), "--law=kaplan", "--columns", names, "--bootstrap=0", "--page", str(out), "--predict=1e11,1e12"])
    printed = capsys.readouterr().out
    assert [float(row[1]) for row in rows(printed, "coefficient")] == pytest.approx(list(FORMULAS["kaplan"][1].values()), rel=2e-2)
    assert float(rows(printed, "run ")[0][2]) == pytest.approx(kaplan(1e11, 1e12, **FORMULAS["kaplan"][1]), abs=2e-3)
    assert "N without embeddings" in printed and "Kaplan" in out.read_text() and not (tmp_path / "scaling.html").exists()


def test_without_budgets_there_are_1_10_and_100_times_the_largest_run(table, capsys):
    command(["scaling", "fit", str(table), "--bootstrap", "0"])
    assert [row[0].strip() for row in rows(capsys.readouterr().out, "budget")] == ["1.2e22 FLOPs", "1.2e23 FLOPs", "1.2e24 FLOPs"]


def test_a_budget_without_a_best_size_is_told_beside_those_that_have_one(table, capsys):
    command(["scaling", "fit", str(table), "--bootstrap", "0", "--budget", "5,1e21,4"])
    printed = capsys.readouterr().out
    assert [row[0].strip() for row in rows(printed, "budget")] == ["1e21 FLOPs"]
    for budget in (4, 5):
        assert f"warning: {budget}e0 FLOPs have no best size: by the fitted law, the best model would" in printed


def test_bad_records_are_told_with_their_lines_and_counted(table, capsys):
    with table.open("a") as out:
        out.write("\n".join(f"{n},oops,3" for n in range(1, 9)) + "\n")
    command(["scaling", "fit", str(table), "--bootstrap", "0"])
    printed = capsys.readouterr().out
    assert printed.count("set aside: ") == 6 and "losses.csv:51: tokens: 'oops' is not a number" in printed
    assert (
        "3 more; the page has all 8" in printed
        and "49 runs of" in printed
        and "losses.csv:58" in table.with_name("scaling.html").read_text()
    )


def test_several_inputs_are_one_fit_and_the_page_is_here(table, tmp_path, capsys, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    command(["scaling", "fit", str(table), str(table), "--bootstrap", "0"])
    assert "98 runs of" in capsys.readouterr().out and (tmp_path / "here" / "scaling.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "scaling does what? modelwright scaling fit"),
        (["fitt", "losses.csv"], "did you mean 'fit'?"),
        (["fit"], "fit what?"),
        (["fit", "losses.csv", "--law", "chinchila"], "no law named 'chinchila'; did you mean 'chinchilla'?"),
        (["fit", "losses.csv", "--budgt", "1e20"], "no option '--budgt'; did you mean '--budget'?"),
        (["fit", "losses.csv", "--budgt=1e20"], "no option '--budgt'; did you mean '--budget'?"),
        (["fit", "losses.csv", "--budget", "much"], "--budget: 'much' is not a number"),
        (["fit", "losses.csv", "--budget", "-1e20"], "--budget: "),
        (["fit", "losses.csv", "--predict", "7B"], "expected PARAMETERS,TOKENS"),
        (["fit", "losses.csv", "--predict", "7B,1T,2"], "expected PARAMETERS,TOKENS"),
        (["fit", "losses.csv", "--bootstrap", "many"], "invalid int value: 'many'"),
        (["fit", "losses.csv", "--bootstrap", "-3"], "--bootstrap"),
        (["fit", "losses.csv", "--columns", "tokns=d"], "did you mean 'tokens'?"),
        (["fit", "losses.csv", "--columns", "loss=los"], "losses.csv:1: no column 'los'; did you mean 'loss'?"),
        (["fit", "losses.cs"], "losses.cs: No such file"),
        (["fit", "."], "neither a run nor a sweep"),
    ],
)
def test_mistakes_are_told_in_one_line(table, words, message):
    with pytest.raises(ModelwrightError) as e:
        command(["scaling", *words])
    assert message in str(e.value) and "\n" not in str(e.value)
    assert not table.with_name("scaling.html").exists()
