"""How a page of pictures becomes one file: data and plotly's script, compressed, and a policy that shuts the rest out.

The browser inflates both with ``DecompressionStream``. Base64 cannot hold a tag, so no text of a study can end a script
early; and the content security policy names the only two scripts that may run by their hashes, and no network at all.
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
    """A file that lies beside this module."""
    return resources.files("zonesearch.report").joinpath(name).read_text(encoding="utf-8")


def packed(text: str) -> str:
    """``text`` compressed, as base64; the same text gives the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@lru_cache(maxsize=1)
def plotly_script() -> tuple[str, str]:
    """plotly.js as shipped with plotly (MIT licence, its notice kept): packed, and the hash of its text."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs()
    return packed(script), _hash(script)


def policy(script: str) -> str:
    """The content security policy of a page that runs ``script`` and plotly, and loads nothing."""
    scripts = f"script-src '{_hash(script)}' '{plotly_script()[1]}'"
    return f"default-src 'none'; {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def spec(figure: go.Figure) -> dict[str, Any]:
    """A figure as plotly.js takes it, without its template: the page brings its own, light and dark."""
    plain: dict[str, Any] = json.loads(figure.to_json(engine="json"))
    plain["layout"].pop("template", None)
    return plain


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
