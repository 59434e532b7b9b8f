"""What it promises, and an order by hand."""

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.curriculum.curriculum import WordLength


def test_it_holds_what_a_curriculum_promises():
    assert_conforms("curriculum/example")


def test_an_order_by_hand():
    texts = ["to be or not", "incomprehensibilities", "", "the very same"]
    found = sorted(texts, key=lambda text: WordLength().score({"text": text, "id": "1", "metadata": {}}, 5))
    assert found == ["", "to be or not", "the very same", "incomprehensibilities"]
