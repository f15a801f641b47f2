"""Templates are the only place where HTML is written; every value passed to them is text and is escaped.

A rendered template is :class:`markupsafe.Markup`, the only kind of string that another template inserts unescaped, so a
label of a study can never become a tag. An undefined name in a template is an error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["rendered"]


def rendered(template: str, **values: Any) -> Markup:
    """Render the file ``template`` of the folder ``templates`` with ``values``."""
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
