"""Seeds of prompts: no two seeds share what is drawn, as neighbours did while a prompt's was the seed plus its number."""

from __future__ import annotations

from modelwright_plugins.generator.seeds import seed_of


def test_the_next_prompt_is_not_the_next_seeds() -> None:
    assert not any(seed_of(seed, number + 1) == seed_of(seed + 1, number) for seed in range(20) for number in range(20))
    assert seed_of(3, 5) == seed_of(3, 5) != seed_of(5, 3)
