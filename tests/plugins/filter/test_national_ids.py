"""Check digits as python-stdnum has them: of random numbers, of made-up ones, and of those one digit off."""

from importlib import import_module
from random import Random

import pytest
from stdnum import iban as stdnum_iban
from stdnum import luhn as stdnum_luhn
from stdnum import verhoeff as stdnum_verhoeff

from modelwright_plugins.filter._check_digits import luhn, verhoeff
from modelwright_plugins.filter._national import NATIONAL
from modelwright_plugins.filter._pii_find import IBAN, iban
from modelwright_plugins.filter.pii import COUNTRIES

STDNUM = {
    "be": "be.nn",
    "br": "br.cpf",
    "ca": "ca.sin",
    "cn": "cn.ric",
    "es 0": "es.dni",
    "es 1": "es.nie",
    "fr": "fr.nir",
    "in": "in_.aadhaar",
    "it": "it.codicefiscale",
    "kr": "kr.rrn",
    "nl": "nl.bsn",
    "pl": "pl.pesel",
    "se": "se.personnummer",
    "us": "us.ssn",
}
PLACE = {"cn": 6, "kr": 9}  # digits that name a place, which stdnum has lists of: left as they are


def oracle(country, number):
    return import_module(f"stdnum.{STDNUM.get(f'{country} {number}') or STDNUM[country]}").is_valid


@pytest.mark.parametrize("country", sorted({key.split()[0] for key in STDNUM}))
def test_valid_is_what_stdnum_says(country):
    dice = Random(country)
    for number, id_ in enumerate(NATIONAL[country]):
        valid, count = oracle(country, number), 0
        for _ in range(400):
            made = id_.make(dice)
            assert id_.valid(made) and valid(f"{made[:6]}-{made[6:]}" if country == "se" else made), made
            place = dice.choice([place for place, c in enumerate(made) if c.isdigit() and place >= PLACE.get(country, 0)])
            other = made[:place] + dice.choice("0123456789") + made[place + 1 :]
            assert id_.valid(other) == valid(f"{other[:6]}-{other[6:]}" if country == "se" else other), other
            count += other != made and not id_.valid(other)
        assert count > 100 or country == "us"  # the American number has no check digit


def test_finland_as_stdnum_says():
    from stdnum.fi import hetu

    (id_,), dice = NATIONAL["fi"], Random(1)
    for _ in range(400):
        made = id_.make(dice)
        other = f"{made[:9]}{dice.choice('0123456789ABCDEFHJKLMNPRSTUVWXY')}"
        assert id_.valid(made) and hetu.is_valid(f"{made[:6]}-{made[6:]}")
        assert id_.valid(other) == hetu.is_valid(f"{other[:6]}-{other[6:]}")


def test_britain():
    """No check digit: prefixes that are never given (HMRC, National Insurance Manual, NIM39110)."""
    spaced, _ = NATIONAL["gb"]
    for written, there in (("AB 12 34 56 C", True), ("QQ 12 34 56 C", False), ("AB 12 34 56 E", False), ("DA 12 34 56 A", False)):
        assert bool(spaced.shape.match(written)) == there
    assert not spaced.valid("GB123456A") and spaced.valid("AB123456A")


def test_all_countries_are_listed():
    assert tuple(sorted(NATIONAL)) == COUNTRIES


def test_check_digits_of_any_length():
    dice = Random(2)
    for _ in range(500):
        number = "".join(dice.choices("0123456789", k=dice.randint(2, 19)))
        assert luhn(number) == stdnum_luhn.is_valid(number) and verhoeff(number) == stdnum_verhoeff.is_valid(number)


def test_ibans():
    examples = (
        "DE89370400440532013000 GB82WEST12345698765432 FR1420041010050500013M02606 CH9300762011623852957 NL91ABNA0417164300 "
        "ES9121000418450200051332 NO9386011117947 BE68539007547034 IT60X0542811101000000123456 MT84MALT011000012345MTLCAST001S"
    )
    for number in examples.split():
        assert iban(number) and stdnum_iban.is_valid(number, check_country=False)
        for place in range(4, len(number)):
            other = number[:place] + ("1" if number[place] != "1" else "2") + number[place + 1 :]
            assert not iban(other) and not stdnum_iban.is_valid(other, check_country=False)
    assert len(IBAN) > 80
