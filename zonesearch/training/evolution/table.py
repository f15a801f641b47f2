"""The table ``[evolution]`` of a study, and the phase that it defines."""

from __future__ import annotations

from typing import Any

from zonesearch.errors import StudyError, did_you_mean
from zonesearch.training.evolution.phase import Phase
from zonesearch.training.evolution.random_gradients import RandomGradients
from zonesearch.training.evolution.strategies import Strategies
from zonesearch.training.technique import check_table

__all__ = ["evolution_from_table"]


def evolution_from_table(table: dict[str, Any]) -> Phase:
    """Read the table ``[evolution]``; its ``kind`` is ``random_gradients`` or ``strategies``.

    Raises:
        StudyError: for an unknown kind or key, or a wrong value.
    """
    kinds: dict[str, type[Phase]] = {RandomGradients.kind: RandomGradients, Strategies.kind: Strategies}
    settings = dict(table)
    kind = settings.pop("kind", RandomGradients.kind)
    if kind not in kinds:
        raise StudyError(f'[evolution] unknown kind "{kind}"; {did_you_mean(str(kind), kinds)}')
    check_table(kinds[kind], settings, "evolution")
    return kinds[kind](**settings)
