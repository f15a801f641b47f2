"""Libraries that are loaded when they are first used, because loading them takes longer than most commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Lazy"]


class Lazy:
    """Stands for a module and loads it with the first attribute that is asked for.

    For type checkers the module is imported under ``TYPE_CHECKING`` beside it::

        if TYPE_CHECKING:
            from scipy import special
        else:
            special = Lazy("scipy.special")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
