"""A stage within its share of a budget, replayed round by round.

A stage whose plan the share does not pay for is asked again from its beginning with nothing but what was known then.
So what was refused stays refused and what was paid stays paid, whatever was trained later. A replay is remembered as
far as it got: while the same trials are there, the next one continues from it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.budget import Ledger
from zonesearch.search.stage import UNPAID, Plan, Stage

__all__ = ["cut"]

_REMEMBERED = 8  # replays


@dataclass(frozen=True)
class _State:
    """How far a replay got.

    Args:
        known: what the stage knows: what was paid before, its finished trainings, and refused ones as failed.
        ledger: with its finished trainings paid.
        refused: identities of what was refused.
    """

    known: Trials
    ledger: Ledger
    refused: frozenset[Any] = frozenset()


@dataclass(frozen=True)
class _Replay:
    stage: Stage
    given: Any
    ledger: Ledger
    share: float
    state: _State

    def is_of(self, stage: Stage, given: Any, ledger: Ledger, share: float, trials: Trials) -> bool:
        """Whether it is a replay of the same stage, and its trials are still the same."""
        mine = self.share == share and self.ledger.budget == ledger.budget and self.ledger.spent == ledger.spent
        if not mine or self.stage != stage or self.given != given or self.ledger.paid != ledger.paid:
            return False
        return all(
            _same(trials.records_of(identity), self.state.known.records_of(identity))
            for identity in self.state.ledger.paid
        )


_replays: deque[_Replay] = deque(maxlen=_REMEMBERED)
_lock = threading.Lock()


def cut(stage: Stage, given: Any, trials: Trials, ledger: Ledger, share: float) -> tuple[Plan, int]:
    """The plan of a stage without the trainings that its share does not pay for, and their number.

    These count as failed, so that the stage reaches its output with the rest. Of a time budget, a round is begun as
    long as the rounds before it took less than the share.
    """
    timed = ledger.budget.unit == "seconds"
    plan = stage.plan(given, trials)
    if timed:
        done = [training for training in plan.trainings if trials.get(training) is not None]
        after = ledger.paying(done, trials)
        fits = after.spent - ledger.spent < share or len(after.paid) == len(ledger.paid)
    else:
        fits = not _affordable(plan.trainings, ledger, share)[1]
    if fits:
        return plan, 0
    begun = _begun(stage, given, trials, ledger, share)
    known = Trials(r for i in ledger.paid for r in trials.records_of(i)) if begun is None else begun.known
    now, refused = (ledger, frozenset[Any]()) if begun is None else (begun.ledger, begun.refused)
    while True:
        plan = stage.plan(given, known)
        wanted = known.missing(plan.trainings)
        kept = tuple(training for training in plan.trainings if training.identity not in refused)
        if timed:
            late = now.spent - ledger.spent >= share and len(now.paid) > len(ledger.paid)
            paid, beyond = ([], wanted) if late else (wanted, [])
        else:
            paid, beyond = _affordable(wanted, now, share - (now.spent - ledger.spent))
        gone = {training.identity for training in beyond}
        ended = _ended(stage, given, known, plan) if wanted and not paid and not refused else None
        if ended is not None:
            return ended
        if not wanted or trials.missing(paid):
            with _lock:
                _replays.append(_Replay(stage, given, ledger, share, _State(known, now, refused)))
            kept = tuple(training for training in kept if training.identity not in gone)
            return Plan(kept) if wanted else Plan(kept, plan.output, plan.notes), len(refused | gone)
        refused |= gone
        new = [record for training in paid for record in trials.records_of(training)]
        known |= Trials([*new, *map(_refusal, beyond)])
        now = now.paying(paid, trials)


def _ended(stage: Stage, given: Any, known: Trials, plan: Plan) -> tuple[Plan, int] | None:
    """The output of a search with no more trainings than it has by now, and how many fewer these are.

    None if the stage is not told its number of trainings. Otherwise this is better than calling all others failed: that
    would be asked for round by round, and the search would believe it.
    """
    if not is_dataclass(stage) or not any(field.name == "n_trainings" for field in fields(stage)):
        return None
    n_done = sum(known.get(training) is not None for training in plan.trainings)
    with suppress(StudyError):
        small = replace(stage, n_trainings=n_done)
        last: Plan = small.plan(given, known)
        if n_done and not known.missing(last.trainings):
            return last, getattr(stage, "n_trainings") - n_done  # noqa: B009
    return None


def _begun(stage: Stage, given: Any, trials: Trials, ledger: Ledger, share: float) -> _State | None:
    """The state of a remembered replay."""
    with _lock:
        found = [replay for replay in _replays if replay.is_of(stage, given, ledger, share, trials)]
        for replay in found:
            _replays.remove(replay)
    return found[-1].state if found else None


def _same(trials: Sequence[Trial], others: Sequence[Trial]) -> bool:
    return len(trials) == len(others) and all(a is b for a, b in zip(trials, others, strict=True))


def _affordable(trainings: Sequence[Training], ledger: Ledger, share: float) -> tuple[list[Training], list[Training]]:
    """Those that ``share`` pays for, in their order, and the others."""
    kept, beyond, after, cost = [], [], dict(ledger.paid), 0.0
    for training in trainings:
        price = ledger.price(training, after)
        if cost + price > share + 1e-9:
            beyond.append(training)
            continue
        cost += price
        after[training.identity] = max(training.epochs, after.get(training.identity, 0))
        kept.append(training)
    return kept, beyond


def _refusal(training: Training) -> Trial:
    return Trial(training, "failed", error=UNPAID)
