"""What it promises, and what Megatron is told."""

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.parallel.parallel import PartlyRecomputed
from modelwright_plugins.parallel.megatron import Megatron


def test_it_holds_what_a_layout_promises():
    assert_conforms("parallel/example")


def test_megatron_is_told_which_layers():
    told = PartlyRecomputed(tensor=2, recompute_layers=3).settings()
    assert told.items() >= Megatron(tensor=2).settings().items()
    # names and meaning: megatron.core.transformer.TransformerConfig
    assert (told["recompute_granularity"], told["recompute_method"], told["recompute_num_layers"]) == ("full", "block", 3)
    assert PartlyRecomputed(recompute_layers=0).settings() == Megatron().settings()


def test_two_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="recompute_layers"):
        PartlyRecomputed(recompute="full")
