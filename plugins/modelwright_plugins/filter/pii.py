"""Personal data, keys and secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright.errors import nearest
from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

TYPES = ("email", "ip", "phone", "card", "iban", "secret", "national_id")
COUNTRIES = ("be", "br", "ca", "cn", "es", "fi", "fr", "gb", "in", "it", "kr", "nl", "pl", "se", "us")


@dataclass(frozen=True, kw_only=True)
class PII(Filter):
    """Drops, redacts or consistently replaces e-mail and IP addresses, phones, cards, IBANs, keys and national ids.

    Found is what proves itself: known top-level domains (addresses at example.com and the like are nobody's), global IP addresses, phone
    numbers that exist in their country and are written as it writes them (libphonenumber), cards by issuer and Luhn, IBANs by length and
    mod 97, keys by their services' prefixes or the name they are assigned to and by entropy, national ids by check digits; what passes a
    check too easily must also be named near it. Names and street addresses are not found.
    """

    types: tuple[str, ...] = TYPES  # of: email, ip, phone, card, iban, secret, national_id
    mode: Literal["redact", "pseudonymise", "drop"] = "redact"  # a placeholder; another value of the kind, always the same; the text goes
    max_found: int | None = None  # a text with more pieces of personal data goes, in any mode; null: any number, and 0 in mode drop
    placeholder: str = "[{type}]"  # mode redact: `{type}` becomes EMAIL, IP, ...
    seed: int = 0  # mode pseudonymise: another seed gives other values; keep it to yourself, it leads from guessed values to stand-ins
    public_ips_only: bool = True  # private, local and documentation addresses are nobody's
    phone_regions: tuple[str, ...] = ("US",)  # ISO 3166: whose numbers are also found without + and country code
    countries: tuple[str, ...] = COUNTRIES  # whose national ids; of: be br ca cn es fi fr gb in it kr nl pl se us

    def __post_init__(self) -> None:
        for name, known in (("types", TYPES), ("countries", COUNTRIES)):
            for value in getattr(self, name):
                if value not in known:
                    raise ValueError(f"{name} has {value!r}{nearest(value, known)}")
        if not self.types:
            raise ValueError(f"types is empty; it is some of {', '.join(TYPES)}")
        for region in self.phone_regions:
            if not (len(region) == 2 and region.isascii() and region.isupper()):
                raise ValueError(f"phone_regions has {region!r}; it is two capital letters, such as US")
        if self.max_found is not None and self.max_found < 0:
            raise ValueError(f"max_found is {self.max_found}; it is at least 0, or null")
        if any(c.isdigit() or c == "@" for c in self.placeholder):
            raise ValueError(f"placeholder is {self.placeholder!r}; it has no digits and no @, which could be found again")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._pii import Personal

        finder = {
            "types": self.types,
            "public_ips": self.public_ips_only,
            "countries": self.countries,
            "regions": self.phone_regions,
        }
        most = 0 if self.mode == "drop" and self.max_found is None else self.max_found
        return Personal(finder, self.mode, most, self.placeholder, self.seed)
