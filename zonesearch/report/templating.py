"""Templates are the only place where HTML is written: everything they are given is text, and is escaped.

What a template gives is :class:`markupsafe.Markup`, the one kind of string that another template takes as it is, so
that a label of a study becomes a tag on no way through a page. A name that a template asks for and nobody gives is an
error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["rendered"]


def rendered(template: str, **values: Any) -> Markup:
    """The file ``template`` of the folder ``templates``, filled in with ``values``."""
    return Markup(_templates().get_template(template).render(values))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("zonesearch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
