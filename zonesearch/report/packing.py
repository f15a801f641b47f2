"""Pack a page with its figures into one file: compressed data, plotly's script, and a restrictive security policy.

The browser decompresses data and script with ``DecompressionStream``. Base64 cannot contain a tag, so no text of a
study can end a script early; and the content security policy allows only two scripts, identified by their hashes, and
no network access.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import lru_cache
from importlib import resources
from typing import Any

import plotly.graph_objects as go

__all__ = ["asset", "packed", "plotly_script", "policy", "spec"]


def asset(name: str) -> str:
    """The text of a file next to this module."""
    return resources.files("zonesearch.report").joinpath(name).read_text(encoding="utf-8")


def packed(text: str) -> str:
    """``text``, compressed and base64-encoded deterministically."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@lru_cache(maxsize=1)
def plotly_script() -> tuple[str, str]:
    """plotly.js as shipped with plotly (MIT licence, its notice kept): packed, together with the hash of its text."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs()
    return packed(script), _hash(script)


def policy(script: str) -> str:
    """The content security policy of a page that runs ``script`` and plotly, and loads nothing."""
    scripts = f"script-src '{_hash(script)}' '{plotly_script()[1]}'"
    return f"default-src 'none'; {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def spec(figure: go.Figure) -> dict[str, Any]:
    """A figure's JSON for plotly.js without its template: the page has its own light and dark templates."""
    plain: dict[str, Any] = json.loads(figure.to_json(engine="json"))
    plain["layout"].pop("template", None)
    return plain


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
