"""Pages of the documentation site that lie elsewhere in the repository: a hook of mkdocs.

README.md is the home page, and CONTRIBUTING.md, SECURITY.md, CHANGELOG.md and the examples are pages too, each written
once, with links that work in the repository. Here these links are turned into those of the site.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "examples/README.md": "examples/README.md",
}
"""Files of the repository by their place on the site."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, and the pictures and programs that they link to."""
    for source, place in PAGES.items():
        text = site_text((ROOT / source).read_text(), source, place)
        files.append(File.generated(config, place, content=text))
    for file in [*sorted(ROOT.glob("examples/*.*")), *sorted(ROOT.glob("reports/*.png"))]:
        if file.suffix != ".md":
            place = file.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, content=file.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn the links of a page of docs/ that leave it."""
    place = page.file.src_uri
    return markdown if place in PAGES.values() else site_text(markdown, f"docs/{place}", place)


def site_text(text: str, source: str, place: str) -> str:
    """``text`` of the file ``source`` with its links as those of the page ``place``."""

    def turned(link: re.Match[str]) -> str:
        target = _joined(PurePosixPath(source).parent, link[1])
        there = PAGES.get(target, target.removeprefix("docs/"))
        return _relative(there, PurePosixPath(place).parent) + (link[2] or "")

    return _LINK.sub(turned, text)


def _joined(folder: PurePosixPath, link: str) -> str:
    """``link``, seen from ``folder``, as a path in the repository."""
    parts: list[str] = []
    for part in (folder / link).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    found = "/".join(parts)
    return f"{found}/README.md" if (ROOT / found).is_dir() else found


def _relative(path: str, folder: PurePosixPath) -> str:
    up = "../" * len(folder.parts)
    return up + path if up else path
