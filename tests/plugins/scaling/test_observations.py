from __future__ import annotations

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.scaling.observations import joined, read_csv
from modelwright_plugins.scaling.units import number, short


@pytest.fixture
def table(tmp_path):
    def write(text: str, encoding: str = "utf-8"):
        file = tmp_path / "losses.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return write


@pytest.mark.parametrize(
    "header",
    [
        "parameters,tokens,loss",
        "N,D,L",
        "params,train_tokens,val_loss",
        "Model Size,Training Tokens,loss",
        '"n_params", "Tokens" ,"Final loss"',
    ],
)
def test_columns_are_found_by_their_usual_names(table, header):
    o = read_csv(table(f"{header}\n1e6,2e7,3.5\n2M,4e7,3.25\n"))
    assert (o.parameters.tolist(), o.tokens.tolist(), o.loss.tolist()) == ([1e6, 2e6], [2e7, 4e7], [3.5, 3.25])
    assert list(o.labels) == ["line 2", "line 3"] and not o.quarantined
    np.testing.assert_allclose(o.flops, [1.2e14, 4.8e14])


def test_tokens_come_from_flops_where_there_are_no_tokens(table):
    o = read_csv(table("Model Size,Training FLOP,loss\n1e9,1.2e20,2.5\n"))
    assert o.tokens.tolist() == pytest.approx([2e10])
    both = table("n,d,flops,loss\n1e9,5e10,1.2e20,2.5\n")
    assert read_csv(both).tokens.tolist() == [5e10]
    assert read_csv(both, {"flops": "flops"}).tokens.tolist() == pytest.approx([2e10])


def test_the_column_that_is_not_read_may_have_empty_cells(table):
    rows = read_csv(table("n,d,flops,loss\n1e9,5e10,,2.5\n1e9,2e10,oops,2.6\n"))
    assert rows.tokens.tolist() == [5e10, 2e10] and not rows.quarantined
    file = table("n,d,flops,loss\n1e9,,1.2e20,2.5\n")
    assert read_csv(file, {"flops": "flops"}).tokens.tolist() == pytest.approx([2e10])


@pytest.mark.parametrize(
    "text", ["n;d;loss\n1;2;3\n", "n\td\tloss\n1\t2\t3\n", "\ufeffn,d,loss\n1,2,3\n", "\n\nn,d,loss\n\n1,2,3\n\n", "n,d,loss\r\n1,2,3\r\n"]
)
def test_other_separators_marks_and_empty_lines(table, text):
    o = read_csv(table(text))
    assert (o.parameters[0], o.tokens[0], o.loss[0], len(o.loss), len(o.quarantined)) == (1, 2, 3, 1, 0)


def test_columns_may_be_named_and_a_wrong_name_tells_the_nearest(table):
    file = table("size of it,seen,nll,loss\n1,2,3,9\n")
    o = read_csv(file, {"parameters": "size of it", "tokens": "seen", "loss": "nll"})
    assert (o.parameters[0], o.tokens[0], o.loss[0]) == (1, 2, 3)
    with pytest.raises(ModelwrightError, match=r"losses.csv:1: no column 'sen'; did you mean 'seen'\?"):
        read_csv(file, {"parameters": "size of it", "tokens": "sen"})
    with pytest.raises(ModelwrightError, match=r"losses.csv:1: no column is known as parameters; name it: --columns parameters=NAME"):
        read_csv(file)


def test_bad_records_are_set_aside_each_with_its_line_and_the_rest_is_kept(table):
    rows = ["1,2,3", "x,2,3", "1,,3", "1,2,-3", "1,2,nan", "1,2,inf", "1,0,3", "1,2", "4,5,6", "1e400,2,3"]
    o = read_csv(table("n,d,loss\n" + "\n".join(rows) + "\n"))
    assert o.parameters.tolist() == [1, 4] and list(o.labels) == ["line 2", "line 10"]
    told = [line.partition("losses.csv:")[2] for line in o.quarantined]
    assert told == [
        "3: n: 'x' is not a number", "4: d: empty", "5: loss: -3 is not a positive, finite number", "6: loss: 'nan' is not a number",
        "7: loss: 'inf' is not a number", "8: d: 0 is not a positive, finite number", "9: expected 3 columns, found 2",
        "11: n: 1e400 is not a positive, finite number",
    ]  # fmt: skip
    assert len(told) + len(o.loss) == len(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected a header"),
        ("n,d,loss\n", "there is a header and no record"),
        ("n,d,loss\nx,y,z\n", "losses.csv:2: n: 'x' is not a number"),
        ("n,d\n1,2\n", "no column is known as loss"),
        ("n,loss\n1,2\n", "no column is known as tokens or FLOPs"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(table, text, message):
    with pytest.raises(ModelwrightError, match=message) as e:
        read_csv(table(text))
    assert "\n" not in str(e.value) and "losses.csv" in str(e.value)


def test_a_file_that_is_no_text_or_is_not_there(table, tmp_path):
    with pytest.raises(ModelwrightError, match="expected a table as UTF-8 text, found byte 0xff at 0"):
        read_csv(table("n,d,loss\n1,2,3\n", "utf-16"))
    with pytest.raises(ModelwrightError, match=r"none\.csv: No such file"):
        read_csv(tmp_path / "none.csv")


def test_tables_are_joined_with_what_was_set_aside(table, tmp_path):
    one = read_csv(table("n,d,loss\n1,2,3\nx,2,3\n"))
    both = joined([one, one])
    assert both.parameters.tolist() == [1, 1] and len(both.quarantined) == 2 and "losses.csv line 2" in both.labels[0]


@pytest.mark.parametrize(
    ("text", "value"), [("7B", 7e9), ("1.4T", 1.4e12), ("1_000", 1000), (" 2.5 M", 2.5e6), ("1e21", 1e21), (".5", 0.5), ("3k", 3000)]
)
def test_numbers_as_people_write_them(text, value):
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "B", "1e", "-1", "0", "1,5", "7BB", "1e999", "nan", "٣x"])
def test_what_is_no_positive_number(text):
    with pytest.raises(ValueError):
        number(text)


@pytest.mark.parametrize("value", [1, 999, 1e3, 448_848, 1.23e6, 7e10, 1.4e12, 5.88e23, 0.02])
def test_a_short_number_reads_back(value):
    assert number(short(value)) == pytest.approx(value, rel=5e-3)
