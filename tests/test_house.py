"""The walls of the house: who imports whom, how long a file may be, what the package shows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import zonesearch

PACKAGE = Path(zonesearch.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
SIBLINGS = ("stages", "training", "engine", "report")
BELOW = {
    "errors": set(),
    "domain": {"errors", "domain"},
    **{name: {"errors", "domain", name} for name in SIBLINGS},
    "study": {"errors", "domain", "stages", "study"},
}
HEAVY = {
    "torch": {"training"},
    "torchvision": {"training"},
    "plotly": {"report", "engine"},
}  # engine saves figures, it draws none


def room(file: Path) -> str:
    part = file.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_file_imports_downwards_only(file: Path) -> None:
    allowed = BELOW.get(room(file))
    for module in imports(file):
        if module.startswith("zonesearch.") and allowed is not None:
            assert module.split(".")[1] in allowed, f"{file.name} imports {module}"
        top = module.split(".")[0]
        assert top not in HEAVY or room(file) in HEAVY[top], f"{file.name} imports {top}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_file_is_short_and_says_what_it_is(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) < 600
    assert file.stem not in ("utils", "helpers", "manager", "handler")
    assert not text or ast.get_docstring(ast.parse(text))


def test_public_names_are_those_that_are_promised() -> None:
    assert sorted(zonesearch.__all__) == zonesearch.__all__
    for name in zonesearch.__all__:
        assert getattr(zonesearch, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zonesearch.nothing  # noqa: B018
