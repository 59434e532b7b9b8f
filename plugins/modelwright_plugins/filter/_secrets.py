"""Keys and secrets: by the prefixes that services give them, by what is assigned to a name, and by how random they look.

Prefixes are from the services' own documents, as the rules of gitleaks and detect-secrets have them too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

# What it begins with, or what it follows (`://`) -> the expression; its group `random` has to look random
PREFIXED = {
    literal: re.compile(pattern)
    for literals, pattern in (
        (("AKIA", "ASIA"), r"(?<![A-Za-z0-9])A[KS]IA(?P<random>[A-Z0-9]{16})(?![A-Za-z0-9])"),  # Amazon
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"(?<![A-Za-z0-9])gh[pousr]_(?P<random>[A-Za-z0-9]{36,255})"),  # GitHub
        (("github_pat_",), r"github_pat_(?P<random>[A-Za-z0-9_]{60,255})"),
        (("glpat-",), r"glpat-(?P<random>[A-Za-z0-9_-]{20,64})"),  # GitLab
        (("xox",), r"xox[abeoprs]-(?P<random>[A-Za-z0-9-]{20,255})"),  # Slack
        (("hooks.slack.com",), r"hooks\.slack\.com/services/(?P<random>[A-Za-z0-9/+]{30,64})"),
        (("AIza",), r"(?<![A-Za-z0-9])AIza(?P<random>[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])"),  # Google
        (("GOCSPX-",), r"GOCSPX-(?P<random>[A-Za-z0-9_-]{28})"),
        (
            ("sk_live_", "rk_live_", "sk_test_", "rk_test_"),
            r"(?<![A-Za-z0-9])[sr]k_(?:live|test)_(?P<random>[A-Za-z0-9]{20,255})",
        ),  # Stripe
        (("sk-",), r"(?<![A-Za-z0-9-])sk-(?:proj-|ant-[a-z0-9]+-|svcacct-|or-v1-)?(?P<random>[A-Za-z0-9_-]{32,255})"),  # OpenAI, Anthropic
        (("hf_",), r"(?<![A-Za-z0-9_])hf_(?P<random>[A-Za-z]{30,40})(?![A-Za-z0-9])"),  # Hugging Face
        (("npm_",), r"(?<![A-Za-z0-9])npm_(?P<random>[A-Za-z0-9]{36})(?![A-Za-z0-9])"),
        (("pypi-AgE",), r"pypi-AgE(?P<random>[A-Za-z0-9_-]{50,1000})"),
        (("SG.",), r"(?<![A-Za-z0-9])SG\.(?P<random>[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64})"),  # SendGrid
        (("AC", "SK"), r"(?<![A-Za-z0-9])(?:AC|SK)(?P<random>[0-9a-f]{32})(?![A-Za-z0-9])"),  # Twilio
        (("dop_v1_",), r"dop_v1_(?P<random>[a-f0-9]{64})"),  # DigitalOcean
        (("eyJ",), r"(?<![A-Za-z0-9_-])eyJ(?P<random>[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000})"),  # a JWT
        (
            ("-----BEGIN ",),
            r"-----BEGIN (?P<key>[A-Z ]{0,20})PRIVATE KEY-----[A-Za-z0-9+/=\s:,.\\-]{40,8000}?-----END (?P=key)PRIVATE KEY-----",
        ),
        (("://",), r"://[A-Za-z0-9_.%+-]{1,64}:(?P<random>[^\s/:@'\"<>{}$]{6,128})(?=@[A-Za-z0-9.-]+)"),  # a password in a URL
    )
    for literal in literals
}
ENTROPY = 3.0  # bits a character: what people write as a placeholder (xxxx, 1234) is below, random base 32 or hexadecimal above
SHORT = 2.5  # the same, of fewer than 20 characters
NAMES = ("password", "passwd", "passphrase", "secret", "token", "key", "credential")
KEY = re.compile(r"(?:api|access|auth|private|secret|encryption|signing)[ _-]?$", re.I)  # before `key`, which alone is anything
ASSIGNED = re.compile(  # after a name
    r"""[A-Za-z0-9_-]{0,20}["']?[ \t]{0,4}(?::=|=>|[:=])[ \t]{0,4}["']?(?P<random>[A-Za-z0-9+/=_~.-]{16,200})(?![A-Za-z0-9+/=_~(-])"""
)
ASSIGNED_ENTROPY = 3.5  # of what only a name gives away
PLACEHOLDER = re.compile(r"example|sample|dummy|placeholder|changeme|your|xxxx|\.\.\.|0000000|1234567|abcdefg|test_?key", re.I)


def entropy(text: str) -> float:
    """Shannon's, of its characters' frequencies, in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def secrets(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each."""
    for literal, pattern in PREFIXED.items():
        at = text.find(literal)
        while at >= 0:
            if found := pattern.match(text, at):
                value = found["random"] if "random" in pattern.groupindex else None
                least = SHORT if value and len(value) < 20 else ENTROPY
                if value is None or (entropy(value) >= least and not PLACEHOLDER.search(value)):
                    yield (found.start("random") if literal == "://" else found.start()), found.end()
            at = text.find(literal, at + len(literal))
    lower = text.lower()
    if len(lower) != len(text):  # a letter such as İ, whose lower case is two
        lower = "".join(low if len(low := c.lower()) == 1 else c for c in text)
    for name in NAMES:
        at = lower.find(name)
        while at >= 0:
            assigned = ASSIGNED.match(text, at + len(name))
            if assigned and (name != "key" or KEY.search(text[max(0, at - 12) : at])) and _random(assigned["random"]):
                yield assigned.span("random")
            at = lower.find(name, at + len(name))


def _random(value: str) -> bool:
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and entropy(value) >= ASSIGNED_ENTROPY and not PLACEHOLDER.search(value)
