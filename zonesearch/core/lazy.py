"""Libraries that are loaded on first use, since loading them takes longer than most commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Lazy"]


class Lazy:
    """A placeholder for a module, which is loaded on the first attribute access.

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
