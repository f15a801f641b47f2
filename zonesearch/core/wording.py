"""Numbers, points and costs as text, for the command line, the report and the notebook alike."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from zonesearch.core.trials import Conflict, Params, Value
from zonesearch.core.values import ChosenFloat

__all__ = ["cost_text", "counted", "excerpt", "point_text", "rounded_sentences", "toml_key"]

_NO_WORD = re.compile(r"\s*|True|False|None|[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|inf|nan|\[.*\]")
"""Strings that look like a number, a boolean, None, a list or nothing; they are shown in quotation marks."""


def point_text(params: Params, schedule: str = "") -> str:
    """``512 x 128 with step(every=7, factor=0.5)``: the values in the order of ``params``, then the schedule.

    Two integers are shown without names, as width x batch; anything else is named. A constant schedule is left out.
    """
    values = list(params.values())
    if len(values) == 2 and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        shown = " x ".join(str(value) for value in values)
    else:
        shown = ", ".join(f"{name} {_value_text(value)}" for name, value in params.items())
    return shown if schedule in ("", "constant") else f"{shown} with {schedule}"


def _value_text(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value_text, value))}]"
    if isinstance(value, ChosenFloat):  # beside the equal integer
        return repr(float(value))
    if isinstance(value, str):
        return f'"{value}"' if _NO_WORD.fullmatch(value) else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cost_text(n_parameters: int | None, seconds: float = 0.0) -> str:
    """``102k parameters``, or the seconds of a training without parameters; empty if neither is known."""
    if n_parameters is None:
        return f"{seconds:.2g} s per training" if seconds >= 0.01 else ""
    if n_parameters >= 1_000_000:
        return f"{n_parameters / 1e6:.2f}M parameters"
    return f"{n_parameters / 1000:.0f}k parameters" if n_parameters >= 10_000 else f"{n_parameters} parameters"


def counted(n: int, thing: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def excerpt(text: str, longest: int) -> str:
    r"""``text`` on one line, cut between words to at most ``longest`` characters and marked with ``...``.

    >>> excerpt("the server at the other end\ndoes not answer", 24)
    'the server at the ...'
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    head = line[: longest - 3]
    space = head.rfind(" ")
    return f"{head[:space] if space > longest // 2 else head[:-1]} ..."


def rounded_sentences(rounded: Sequence[Conflict]) -> tuple[str, ...]:
    """A sentence on trainings whose values differ because machines chose the precision; none if there are none."""
    if not rounded:
        return ()
    return (
        f"{counted(len(rounded), 'training')} gave different values on different machines, which can happen under "
        f'precision = "auto" or "tf32"; of each the most exact counts. The first: {rounded[0]}.',
    )


def toml_key(name: str) -> str:
    """``name`` as a key of a study file: in quotation marks if it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
