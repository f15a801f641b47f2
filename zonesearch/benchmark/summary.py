"""The tables of a contest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from zonesearch.benchmark.contest import Contest, standard_error

__all__ = ["curves_table", "searches_table", "standing_texts", "standings_table"]


def standings_table(contest: Contest) -> pd.DataFrame:
    """One row per method, the lowest regret first."""
    return pd.DataFrame(
        [
            {
                "method": s.method,
                "regret": s.regret,
                "standard error": s.se,
                "regret / (best - median)": s.regret / contest.scale if contest.scale > 0 else math.nan,
                "mean rank": s.rank,
                "within noise": s.within_noise,
                "p against the best": s.p_value,
                "trainings": s.n_trainings,
                "ms per suggestion": s.ms,
            }
            for s in contest.standings()
        ]
    )


def standing_texts(contest: Contest) -> list[tuple[str, ...]]:
    """The standings as strings under a header row, as printed by the command."""
    standings = contest.standings()
    digits = _digits([v for s in standings for v in (s.regret, s.se)])
    head = ("method", "regret", "rank", "within noise", "p against best", "trainings", "ms/suggestion")
    return [
        head,
        *(
            (
                s.method,
                f"{s.regret:.{digits}f}" + ("" if math.isnan(s.se) else f" ± {s.se:.{digits}f}"),
                f"{s.rank:.1f}",
                "unknown" if math.isnan(s.within_noise) else f"{s.within_noise:.0%}",
                "" if not i else "unknown" if math.isnan(s.p_value) else f"{s.p_value:.2g}",
                f"{s.n_trainings:.0f}",
                f"{s.ms:.1f}",
            )
            for i, s in enumerate(standings)
        ),
    ]


def curves_table(contest: Contest) -> pd.DataFrame:
    """One row per method and checkpoint."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "trainings": at,
                "regret": float(regrets.mean()),
                "standard error": standard_error(regrets),
            }
            for method in contest.methods
            for at, regrets in zip(contest.at, contest.regrets(method).T, strict=True)
        ]
    )


def searches_table(contest: Contest) -> pd.DataFrame:
    """One row per search: its final recommendation."""
    return pd.DataFrame(
        [
            {"method": s.method, "search": s.repeat, "regret": s.regret[-1], "trainings": s.n_trainings}
            | {"zones": len(s.zones), "seconds": s.seconds}
            | dict(s.recommended)
            for s in contest.searches
        ]
    )


def _digits(values: Sequence[float]) -> int:
    """Decimals such that the smallest positive of ``values`` shows two digits; at most 6, at least 3 if all are below
    1.
    """
    known = [v for v in values if math.isfinite(v) and v > 0]
    least = 3 if max(known, default=0.0) < 1 else 0
    return min(6, max(least, 1 - math.floor(math.log10(min(known))))) if known else 3
