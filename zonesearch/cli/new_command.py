"""Write a study file to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from zonesearch.errors import StudyError

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME."""
    parser.add_argument("name", metavar="NAME", help="name of the study; the file is NAME.toml")


def call(options: argparse.Namespace) -> None:
    """Write the file; an existing file is not overwritten."""
    from zonesearch.study.files import TEMPLATE

    path = Path(options.name).with_suffix(".toml")
    name = path.stem
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise StudyError(f"a study name may hold letters, digits, - and _ only, not {options.name!r}")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.format(name=name))
    except FileExistsError:
        raise StudyError(f"{path} already exists; choose another name") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror}") from None
    print(f"Wrote {path}. Next: zonesearch plan {path}, then zonesearch run {path}")
