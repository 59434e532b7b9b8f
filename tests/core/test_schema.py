from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from modelwright.component import Component
from modelwright.errors import ModelwrightError
from modelwright.schema import conform, defaults, plain

pytestmark = pytest.mark.usefixtures("toy")


def test_values_come_out_as_annotated():
    from toy_plugin.parts import Circle, Point, Square

    made = conform({"side": "2e-1", "sizes": [3], "where": "/x", "corners": "round", "tags": ["a"]}, Square, "shape")
    assert made == Square(side=0.2, sizes=(3,), where=Path("/x"), corners="round", tags=["a"])
    assert plain(made) == {"side": 0.2, "corners": "round", "sizes": [3], "where": "/x", "tags": ["a"]}
    assert conform({"center": {"y": 4}}, Circle, "shape") == Circle(center=Point(0, 4))


def test_defaults_are_plain():
    from toy_plugin.parts import Circle, Square

    assert defaults(Circle) == {"radius": 1.0, "center": {"x": 0, "y": 0}}
    assert defaults(Square) == {"side": "???", "corners": "sharp", "sizes": [1, 2], "where": None, "tags": []}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sied": 1}, "shape.sied: there is no such parameter; did you mean 'side'?"),
        ({}, "shape.side: it has no default; give it a value"),
        ({"side": []}, "shape.side: [] won't do; expected float"),
        ({"side": 1, "sizes": 3}, "shape.sizes: 3 won't do; expected tuple[int, ...]"),
        ({"side": 1, "sizes": ["x"]}, "shape.sizes"),
        ({"side": 1, "corners": None}, "shape.corners: None won't do; there are: round, sharp"),
    ],
)
def test_what_is_wrong_is_named_by_its_full_key(values, said):
    from toy_plugin.parts import Square

    with pytest.raises(ModelwrightError) as caught:
        conform(values, Square, "shape")
    assert said in str(caught.value) and str(caught.value).startswith(caught.value.key)


def test_a_parameter_may_not_be_called_name():
    @dataclass(frozen=True, kw_only=True)
    class Named(Component):
        name: str = "x"

    with pytest.raises(ModelwrightError, match="can't be called 'name'"):
        defaults(Named)
