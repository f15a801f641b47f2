"""The walls of the house: who imports whom, how long a file may be, what the package shows."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zonesearch

PACKAGE = Path(zonesearch.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FLOORS = (
    ("errors",),
    ("core",),
    ("statistics",),
    ("search", "training", "report"),
    ("study",),
    ("run",),
    ("optuna", "benchmark", "integrations", "sklearn"),
    ("cli",),
)
"""Rooms from the ground up: a room imports itself and what lies below its floor."""
BESIDE = {("benchmark", "optuna"): "methods are compared with Optuna's samplers"}
"""What a room takes from its own floor, and why."""
OUTSIDE = {"__init__", "__main__"}
"""The door of the package: imports from every room, by name, when it is asked."""
HEAVY = {
    "torch": {"training", "integrations"},
    "torchvision": {"training"},
    "plotly": {"report", "optuna", "benchmark"},
    "optuna": {"optuna", "sklearn", "benchmark"},
}
"""Large libraries, and the rooms that may know of them."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module(file): file for file in FILES}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_file_imports_downwards_only(file: Path) -> None:
    own = room(file)
    for name in imports(file):
        top, _, rest = name.partition(".")
        assert top not in HEAVY or own in HEAVY[top], f"{file.name} imports {top}"
        if top == "zonesearch" and rest and own not in OUTSIDE:
            other = rest.split(".")[0]
            if other != own and (own, other) not in BESIDE and other not in OUTSIDE:
                assert FLOOR_OF[other] < FLOOR_OF[own], f"{file.name} imports {name}"


def test_every_room_has_a_floor() -> None:
    assert {room(file) for file in FILES} - OUTSIDE == set(FLOOR_OF)


def test_no_file_imports_itself_by_way_of_others() -> None:
    given = {name: {other for other in imports(file) if other in MODULES} for name, file in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in sorted(given[name] - {name}):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(given):
        visit(name, ())


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


LOADED = (
    "import sys; from zonesearch.cli.main import main\n"
    "try: main(sys.argv[1:])\n"
    "except SystemExit: pass\n"
    "large = {'torch', 'pandas', 'plotly', 'optuna', 'sklearn', 'scipy', 'rich', 'joblib'}\n"
    "print(*sorted(large & set(sys.modules)))"
)


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("status", "RUN")], ids=lambda given: given[0])
def test_quick_commands_load_no_large_library(arguments: tuple[str, ...], tmp_path: Path) -> None:
    if "RUN" in arguments:
        space = {"x": {"low": 1, "high": 8, "scale": "log"}, "y": {"low": 1, "high": 8, "scale": "log"}}
        zonesearch.run_pipeline(space, objective=lambda params, seed: params["x"] / 10, into=tmp_path / "run")
    given = [argument.replace("RUN", str(tmp_path / "run")) for argument in arguments]
    done = subprocess.run([sys.executable, "-c", LOADED, *given], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
