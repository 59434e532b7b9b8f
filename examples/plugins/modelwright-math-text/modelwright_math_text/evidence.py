"""Where the mathematics of a text is."""

from __future__ import annotations

import re
from dataclasses import dataclass

ENVIRONMENTS = "equation|align|aligned|alignat|gather|multline|eqnarray|displaymath|math|split|cases|[pbvBV]?matrix|array"
COMMANDS = (
    "frac|dfrac|tfrac|sqrt|sum|prod|int|iint|oint|lim|limits|infty|partial|nabla|cdot|cdots|ldots|dots|times|div|pm|mp|leq?|geq?|neq?|ll|gg|"
    "equiv|approx|sim|simeq|cong|propto|to|mapsto|rightarrow|leftarrow|Rightarrow|Leftrightarrow|implies|iff|forall|exists|in|notin|subset|"
    "subseteq|supset|cup|cap|setminus|emptyset|wedge|vee|neg|alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|iota|kappa|"
    "lambda|mu|nu|xi|pi|rho|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega|mathbb|mathbf|mathcal|"
    "mathrm|mathfrak|mathit|operatorname|left|right|langle|rangle|lfloor|rfloor|lceil|rceil|binom|choose|overline|underline|widehat|hat|"
    "bar|vec|tilde|sin|cos|tan|log|ln|exp|max|min|sup|inf|det|ker|gcd|deg|dim|otimes|oplus|circ|prime|ell|hbar|perp|parallel|angle|bmod|pmod"
)
WORDS = """
theorem lemma corollary proposition proof conjecture axiom equation inequality polynomial integral integer derivative differential
eigenvalue eigenvector matrix matrices vector scalar logarithm exponent denominator numerator fraction quadratic algebra geometry
calculus trigonometry topology manifold isomorphism homomorphism bijection injective surjective convergent divergent monotone
hypotenuse perpendicular circumference radius permutation combinatorial factorial coefficient probability expectation variance subset
cardinality modulo
"""
KNOWN = frozenset(re.findall(r"\w+", WORDS))
MARKUP = re.compile(
    r"MathJax|KaTeX|math-container|<math[ >]|</math>|latex\.php|latex\.codecogs\.com|class=[\"'](?:tex|katex|mwe-math)", re.I
)
# What is between two signs is bounded, so that time grows with the text's length and not with its square.
ENVIRONMENT = re.compile(rf"\\begin\{{({ENVIRONMENTS})\*?\}}.{{0,3000}}?\\end\{{\1\*?\}}", re.S)
DISPLAY = re.compile(r"\$\$[^$]{1,3000}\$\$|\\\[(?:(?!\\\[).){1,3000}?\\\]|\\\((?:(?!\\\().){1,1000}?\\\)", re.S)
# As Pandoc reads dollars: no blank inside the signs and no digit after the second, so prices are none; no name either, as in a shell.
# A formula has an operator, a command or an index, or is one letter.
INLINE = re.compile(r"(?<![\\$\w])\$(?! )(?=[^$\n]{0,200}[\\^_=<>+*/|(]|[A-Za-z]\$)[^$\n]{1,200}(?<![ \\])\$(?![\dA-Z_{$])")
COMMAND = re.compile(rf"\\(?:{COMMANDS})(?![A-Za-z])")
GREEK = r"\u0370-\u03ff\u1f00-\u1fff"  # a Greek letter among others is a word's, and so is one that is a word
SYMBOL = re.compile(rf"[∀-⋿⟀-⟯⨀-⫿±×÷²³¹⁰-ⁿ₀-ₜℂℍℕℙℚℝℤℓ]|(?<![{GREEK}])[αβγδεζθκλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ](?![{GREEK}])")
NUMBER = r"\(?[$€£]?\d[\d.,]{0,20}\)?%?"
CALCULATION = re.compile(rf"(?<![\w.]){NUMBER}(?:\s?[-+*/×÷^]\s?{NUMBER}){{1,20}}\s?=\s?-?{NUMBER}")
LETTERS = re.compile(r"[A-Za-z]{5,}")
BLANKS = re.compile(r"\s+")


@dataclass(frozen=True)
class Evidence:
    latex: bool  # a formula, a LaTeX command or mathematical markup
    finds: int  # how many places; three mathematical words count as one, as each alone may mean something else
    share: float  # of the characters without blanks, those in such places


def evidence(text: str) -> Evidence:
    """What speaks for mathematics in `text`. Time grows with its length."""
    inside = bytearray(len(text))
    finds, words, latex = 0, 0, MARKUP.search(text) is not None
    for pattern, is_latex in (
        (ENVIRONMENT, True), (DISPLAY, True), (INLINE, True), (COMMAND, True), (CALCULATION, False), (SYMBOL, False), (LETTERS, False),
    ):  # fmt: skip
        for found in pattern.finditer(text):
            start, end = found.span()
            if pattern is LETTERS and (word := found[0].lower()) not in KNOWN and word.removesuffix("s") not in KNOWN:
                continue
            if inside[start]:  # a command within a formula is that formula's
                continue
            inside[start:end] = b"\x01" * (end - start)
            finds, words = finds + (pattern is not LETTERS), words + (pattern is LETTERS)
            latex |= is_latex
    blanks = [found.span() for found in BLANKS.finditer(text)]
    counted = sum(inside) - sum(sum(inside[start:end]) for start, end in blanks)
    return Evidence(latex, finds + words // 3, counted / max(len(text) - sum(end - start for start, end in blanks), 1))


def damage(text: str) -> tuple[int, int]:
    """(damaged, all) of the environments, displays and formulas of `text`."""
    opened: list[str] = []
    damaged = whole = 0
    for found in re.finditer(r"\\(begin|end)\{([A-Za-z]+\*?)\}", text):
        if found[1] == "begin":
            opened.append(found[2])
        elif opened and opened[-1] == found[2]:
            opened.pop()
            whole += 1
        else:
            damaged += 1
    damaged += len(opened)
    for left, right in ((r"\\\[", r"\\\]"), (r"\\\(", r"\\\)")):
        begins, ends = len(re.findall(rf"(?<!\\){left}", text)), len(re.findall(rf"(?<!\\){right}", text))
        damaged += abs(begins - ends)
        whole += min(begins, ends)
    damaged += text.count("$$") % 2
    for formula in (*DISPLAY.findall(text), *INLINE.findall(text)):
        depth = lowest = 0
        for sign in re.findall(r"(?<!\\)[{}]", formula):
            depth += 1 if sign == "{" else -1
            lowest = min(lowest, depth)
        broken = depth != 0 or lowest < 0
        damaged += broken
        whole += formula.startswith("$") - broken  # the others are counted by their signs
    return damaged, whole + damaged
