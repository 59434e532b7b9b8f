from modelwright_plugins.artifacts.split import held_out_groups

SIZES = {f"g{i:03d}": 100 + 13 * i for i in range(200)} | {"giant": 200_000}


def test_near_the_share_and_never_the_giant():
    total = sum(SIZES.values())
    for share in (0.01, 0.05, 0.2):
        chosen = held_out_groups(SIZES, share)
        assert share * total * 0.97 <= sum(SIZES[g] for g in chosen) <= share * total
        assert "giant" not in chosen and chosen == sorted(chosen) and len(chosen) > 1


def test_order_and_other_groups_hardly_matter():
    chosen = set(held_out_groups(SIZES, 0.1))
    assert set(held_out_groups(dict(reversed(SIZES.items())), 0.1)) == chosen
    grown = set(held_out_groups(SIZES | {"new": 50}, 0.1))
    assert len(grown & chosen) > 0.8 * len(chosen)


def test_at_least_one_group_and_at_least_one_left():
    assert held_out_groups({"a": 900, "b": 700, "c": 800}, 0.05) == ["b"]
    assert held_out_groups({"a": 5}, 0) == []
    for share in (0.5, 0.99):
        chosen = held_out_groups({"a": 1, "b": 1, "c": 1}, share)
        assert 0 < len(chosen) < 3
    assert held_out_groups({"a": 5}, 0.05) == []
