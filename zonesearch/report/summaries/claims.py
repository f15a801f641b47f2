"""Claims of a comparison, tested on its trials."""

from __future__ import annotations

from typing import Any

import pandas as pd

from zonesearch.statistics.claims import Claim, ClaimOutcome, check_claim
from zonesearch.statistics.search_results import SearchResults

__all__ = ["claim_outcomes", "claim_table"]


def claim_outcomes(results: SearchResults) -> list[ClaimOutcome]:
    """The outcomes of the claims in the stages' settings, from the trials so far."""
    outcomes = []
    for record in results.stages:
        tables = record.settings.get("claims") or ()
        if not tables:
            continue
        validation: dict[Any, dict[int, float]] = {}
        tested: dict[Any, dict[int, float]] = {}
        for training in record.wanted:
            trial = results.trials.get(training)
            if trial is None or not trial.complete:
                continue
            cell = tuple(sorted(training.params.items()))
            validation.setdefault(cell, {})[trial.seed] = trial.value(results.reading)
            if trial.test_accuracy is not None:
                tested.setdefault(cell, {})[trial.seed] = trial.test_accuracy
        scores = {cell: tested.get(cell) or values for cell, values in validation.items()}
        level = float(record.settings.get("level", 0.95))
        claims = [Claim.parse(table, f"[{record.name}]") for table in tables]
        outcomes += [check_claim(claim, scores, level, validation, results.metric) for claim in claims]
    return outcomes


def claim_table(outcomes: list[ClaimOutcome]) -> pd.DataFrame:
    """One row per claim: the claim, the finding, the outcome in words."""
    return pd.DataFrame(
        [
            {
                "claim": o.claim.says,
                "claimed difference": o.claim.by,
                "difference here": o.difference,
                "from": o.interval[0],
                "to": o.interval[1],
                "seeds": o.n_seeds,
                "p": o.p_value,
                "outcome": o.verdict,
            }
            for o in outcomes
        ]
    )
