"""What it promises, and a score by hand."""

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.evaluator.evaluator import MinimalPairs
from modelwright_plugins.evaluator.model import Likelihood


class Counting:
    """Each letter costs a nat."""

    first = True

    def likelihoods(self, pairs):
        return [Likelihood(float(len(said)), len(said)) for _, said in pairs]


def test_it_holds_what_an_evaluator_promises():
    assert_conforms("evaluator/example")


def test_it_counts_the_pairs_whose_right_sentence_is_likelier(tmp_path):
    (score,) = MinimalPairs(right=["ab", "abc", "a"], wrong=["abc", "ab", "a"]).evaluate(Counting(), tmp_path, seed=1)
    assert score.value == pytest.approx(1 / 3)  # equal ones are not won
    assert (tmp_path / "pairs.txt").read_text() == "+ ab\n- abc\n- a\n"
