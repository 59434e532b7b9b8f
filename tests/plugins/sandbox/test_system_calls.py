"""The numbers of the denied system calls are the kernel's own, by its headers."""

import re
from pathlib import Path

import pytest

HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))


@pytest.mark.parametrize(("column", "header"), list(enumerate(HEADERS)))
def test_numbers(column, header, monkeypatch):
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    import modelwright_plugins.sandbox as sandbox

    text = (Path(sandbox.__file__).parent / "_inside.py").read_text().rsplit("main()", 1)[0]
    names: dict = {"__name__": "inside"}
    exec(compile(text, "_inside.py", "exec"), names)
    known = {name: int(number) for name, number in re.findall(r"#define __NR3?2?6?4?_(\w+)\s+(\d+)", header.read_text())}
    for name, numbers in names["DENIED"].items():
        assert known.get(name) == numbers[column] or (name == "memfd_secret" and name not in known), name
    machine = ("x86_64", "aarch64")[column]
    assert known["clone"] == names["ARCHITECTURES"][machine][2] and known["clone3"] == names["CLONE3"]
