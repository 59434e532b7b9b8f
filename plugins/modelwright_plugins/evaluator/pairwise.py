"""Who wins how often: win rates, and strengths on Elo's scale, of comparisons of two at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import DRAWS, Groups, Z, share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SCALE = 400 / math.log(10)  # Elo's: 400 points more are odds of 10 to 1
STEPS, CLOSE = 100, 1e-10  # of Newton's method, and the largest step that ends it
FAINT = 0.01  # draws against an average player that a sample gets, so that one without a loss has a strength in it


@dataclass(frozen=True)
class Comparison:
    """Two replies to one prompt, say, and which was found better."""

    first: str
    second: str
    score: float  # 1: the first won; 0: the second; 0.5: a tie

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise ValueError(f"{self.first!r} is compared with itself")
        if self.score not in (0, 0.5, 1):
            raise ValueError(f"score is {self.score}; it is 1 where the first won, 0 where the second did, 0.5 for a tie")


def win_rates(comparisons: Sequence[Comparison], *, groups: Groups = None) -> list[Score]:
    """For each player the share of its comparisons that it won, ties as halves, best first: `win_rate/PLAYER`.

    The interval is Wilson's, which has a width where all are ties, too, and is a little wide where some are. It is of comparisons that
    don't depend on each other, or of `groups` of them: those of one prompt, say. It is over the opponents that a player had.
    """
    found = []
    for player in _players(comparisons):
        mine = [number for number, c in enumerate(comparisons) if player in (c.first, c.second)]
        own = [c.score if c.first == player else 1 - c.score for c in (comparisons[number] for number in mine)]
        found.append(share(f"win_rate/{player}", own, groups=None if groups is None else [groups[number] for number in mine]))
    return sorted(found, key=lambda score: -score.value)


def elo(
    comparisons: Sequence[Comparison], *, average: float = 1000.0, prior: float = 0.0, draws: int = DRAWS, groups: Groups = None
) -> list[Score]:
    """Each player's strength, best first: `elo/PLAYER`, by maximum likelihood of Bradley & Terry (1952), ties as half a win each.

    P(i beats j) = 1 / (1 + 10^((e_j - e_i) / 400)); the mean of all is `average`. Unlike Elo's own updates this does not depend on
    the order of the comparisons. The interval is the percentile bootstrap's, over comparisons or over `groups` of them (those of one
    prompt, say), and where that is narrower (one won all, say, and so wins all in each sample) the normal one of the likelihood's bend.
    `prior` draws of each player with an average one may be added, which brings strengths nearer to each other: the fewer the
    comparisons, the more. ValueError, in one line: without them there are players whose strengths can't be compared.
    """
    import numpy as np

    if not 0 <= prior < math.inf:
        raise ValueError(f"prior is {prior}; it is 0 or more")
    players = _players(comparisons)
    place = {player: number for number, player in enumerate(players)}
    ends = [(place[c.first], place[c.second], c.score) for c in comparisons]
    number = {end: at for at, end in enumerate(dict.fromkeys(ends))}
    kinds, of = list(number), [number[end] for end in ends]
    won = _won(kinds, np.bincount(of).astype(np.float64), len(players))
    if not prior:
        _check_connected(won, players)
    best = _fitted(won, prior, np.zeros(len(players)))
    samples = _samples(of, len(kinds), draws, groups)
    drawn = np.array([_fitted(_won(kinds, sample, len(players)), max(prior, FAINT), best) for sample in samples])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0) if draws else (best, best)
    if draws:
        wide = Z * _spread(_met(comparisons, place, groups), prior, best)
        low, high = np.minimum(low, best - wide), np.maximum(high, best + wide)
    played = won.sum(0) + won.sum(1)
    on_scale = [[average + SCALE * float(x) for x in each] for each in (best, np.minimum(low, best), np.maximum(high, best))]
    found = [
        Score(f"elo/{player}", value, least, most, round(float(count)))
        for player, value, least, most, count in zip(players, *on_scale, played, strict=True)
    ]
    return sorted(found, key=lambda score: -score.value)


def _met(comparisons: Sequence[Comparison], place: Mapping[str, int], groups: Groups) -> Floats:
    """How often two players met [players, players]; in a group once, as its comparisons of the same two may be copies."""
    import numpy as np

    met = np.zeros((len(place), len(place)))
    keys = range(len(comparisons)) if groups is None else groups
    pairs = ((place[c.first], place[c.second]) for c in comparisons)
    for first, second, _ in {(min(pair), max(pair), key) for pair, key in zip(pairs, keys, strict=True)}:
        met[first, second] += 1
    return np.asarray(met + met.T)


def _spread(met: Floats, prior: float, strengths: Floats) -> Floats:
    """The standard deviation of each strength by the likelihood's second derivatives, where players met so often."""
    import numpy as np

    found = np.linalg.pinv(_curve(met, prior, strengths), hermitian=True)
    centre = np.eye(len(strengths)) - 1 / len(strengths)  # strengths are told from their mean
    return np.asarray(np.sqrt(np.maximum(np.diag(centre @ found @ centre), 0)))


def _curve(games: Floats, prior: float, strengths: Floats) -> Floats:
    """Minus the second derivatives of the logarithm of the likelihood [players, players]."""
    import numpy as np

    chance, middle = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None])), 1 / (1 + np.exp(-strengths))
    bend = games * chance * (1 - chance)
    return np.asarray(np.diag(bend.sum(1) + prior * middle * (1 - middle)) - bend)


def _samples(of: Sequence[int], kinds: int, draws: int, groups: Groups) -> Floats:
    """How many comparisons of each kind there are in samples with replacement, of as many comparisons, or groups [draws, kinds]. `of`: each
    comparison's kind."""
    import numpy as np

    if groups is None:
        counts = np.bincount(of, minlength=kinds)
        return np.random.default_rng(len(of)).multinomial(len(of), counts / len(of), draws).astype(np.float64)
    places = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    table = np.zeros((len(places), kinds))
    np.add.at(table, ([places[group] for group in groups], of), 1)
    drawn = np.random.default_rng(len(places)).multinomial(len(places), [1 / len(places)] * len(places), draws)
    return np.asarray(drawn @ table)


def _players(comparisons: Sequence[Comparison]) -> list[str]:
    if not comparisons:
        raise ValueError("there are no comparisons")
    return sorted({player for c in comparisons for player in (c.first, c.second)})


def _won(kinds: Sequence[tuple[int, int, float]], counts: Floats, players: int) -> Floats:
    """How often the row's player has beaten the column's; a tie is half a win of each."""
    import numpy as np

    won = np.zeros((players, players))
    for (first, second, score), count in zip(kinds, counts, strict=True):
        won[first, second] += score * count
        won[second, first] += (1 - score) * count
    return won


def _fitted(won: Floats, prior: float, start: Floats) -> Floats:
    """The strengths (natural logarithm of odds, mean 0) that make `won` likeliest, by Newton's method with halved steps."""
    import numpy as np

    strengths, games = start.copy(), won + won.T
    worth = _likelihood(won, prior, strengths)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
        middle = 1 / (1 + np.exp(-strengths))
        slope = won.sum(1) - (games * chance).sum(1) + prior * (0.5 - middle)
        step = np.linalg.solve(
            _curve(games, prior, strengths) + (0 if prior else 1.0), slope
        )  # without a prior only differences count: the mean stays
        for _ in range(60):
            if (better := _likelihood(won, prior, strengths + step)) >= worth - 1e-12 * abs(worth):
                break
            step /= 2
        strengths, worth = strengths + step, better
        if np.abs(step).max() < CLOSE:
            break
    return strengths - strengths.mean()


def _likelihood(won: Floats, prior: float, strengths: Floats) -> float:
    import numpy as np

    differences = strengths[:, None] - strengths[None, :]
    faint = prior / 2 * (np.logaddexp(0, strengths) + np.logaddexp(0, -strengths)).sum()
    return -float((won * np.logaddexp(0, -differences)).sum() + faint)


def _check_connected(won: Floats, players: Sequence[str]) -> None:
    """There are strengths only where nobody wins, or loses, against all the others together (Ford 1957): from each to each by wins."""
    from scipy.sparse.csgraph import connected_components

    groups, group = connected_components(won > 0, directed=True, connection="strong")
    if groups > 1:
        names = sorted(
            (sorted(p for p, own in zip(players, group, strict=True) if own == g) for g in range(groups)), key=lambda own: (len(own), own)
        )
        shown = "; ".join(", ".join(names_of[:5]) + (" …" if len(names_of) > 5 else "") for names_of in names[:5])
        raise ValueError(
            f"strengths can't be compared between these groups, as one never lost to, or never met, the others: {shown}; "
            "give prior=1, or more comparisons"
        )
