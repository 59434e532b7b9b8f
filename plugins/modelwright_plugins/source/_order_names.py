"""Items, streets and sizes of ordering dialogues: some that every model of them knows, and names that nobody has heard before.

An invented name is drawn anew for each dialogue, so that a model learns to copy what it reads and not which names there are. A hash says
which names, and which pairs of known values, are held out: the same on every machine, whatever else a grammar draws."""

from __future__ import annotations

import hashlib
from random import Random

SIZES = ("tiny", "small", "medium", "large", "giant")
ITEMS = (
    "burger", "burrito", "cheesecake", "chowder", "couscous", "curry", "dumpling soup", "fish pie", "fruit salad", "garden salad",
    "goulash", "green salad", "ham sandwich", "kebab", "lasagne", "lemon cake", "lentil soup", "meat pie", "milkshake", "moussaka",
    "mushroom soup", "noodle soup", "paella", "pasta bake", "pea soup", "pizza", "plum cake", "porridge", "potato salad", "quiche",
    "ramen", "ravioli", "rice bowl", "risotto", "steak sandwich", "stew", "taco", "tomato soup", "tuna wrap", "veggie wrap",
)  # fmt: skip
DISHES = ("bowl", "burger", "cake", "curry", "pie", "pizza", "salad", "sandwich", "soup", "wrap")  # that an invented name may stand before
STREETS = (
    "Baker", "Bridge", "Castle", "Cedar", "Chapel", "Cherry", "Church", "Clover", "Dover", "Garden", "George", "Harbour", "Hazel", "Hill",
    "King", "Lake", "Linden", "Maple", "Market", "Meadow", "Mill", "Park", "Pine", "Queen", "River", "Rose", "School", "Station",
    "Victoria", "Willow",
)  # fmt: skip
WAYS = ("Street", "Road", "Lane", "Avenue")
HOUSES = 199  # highest number of a house

FIRST = ("b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "pl", "qu", "r", "s", "sk", "st", "t", "tr", "v", "w", "z")  # fmt: skip  # noqa: E501
VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ou")
LAST = ("", "b", "ck", "d", "g", "l", "ll", "m", "mp", "n", "nd", "nk", "p", "r", "rn", "s", "sh", "st", "t", "x")


def one_of(text: str, parts: int) -> bool:
    """Whether a text is of one in `parts` by its hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) % parts == 0


def held_out_name(name: str) -> bool:
    """One invented name in ten."""
    return one_of(f"name {name.lower()}", 10)


def held_out_pair(one: str, other: str) -> bool:
    """One pair of known values in five: an item and its size, an item and the street that it goes to."""
    return one_of(f"pair {one} / {other}", 5)


def invented(rng: Random, held_out: bool) -> str:
    """A name of two or three syllables, held out or not."""
    while True:
        name = "".join(rng.choice(FIRST) + rng.choice(VOWELS) for _ in range(rng.choice((1, 1, 2)))) + rng.choice(FIRST)
        name += rng.choice(VOWELS) + rng.choice(LAST)
        if held_out_name(name) is held_out and name not in ITEMS and name.capitalize() not in STREETS:
            return name
