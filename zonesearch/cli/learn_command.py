"""Learn from earlier runs for the stage controller; list or forget what was learned."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zonesearch.run.learning import Cached

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN... | --list | --forget RUN... [--json]."""
    parser.add_argument("runs", metavar="RUN", nargs="*", help="run folders, or NAME://ADDRESS of a storage")
    parser.add_argument("--list", action="store_true", help="list the contents of the cache without learning anything")
    parser.add_argument(
        "--forget", metavar="RUN", nargs="+", default=[], help='remove runs from the cache; "all" empties it'
    )
    parser.add_argument("--json", action="store_true", help="print the full contents of the cache as JSON")


def call(options: argparse.Namespace) -> None:
    """Learn or forget; print one line per run."""
    import json

    from zonesearch.errors import StudyError
    from zonesearch.run.learning import Learned

    cache = Learned.of_user()
    if bool(options.runs) + bool(options.forget) + (options.list or options.json) > 1 and not options.runs:
        raise StudyError("--forget takes no --list or --json beside it: what is left is said anyway")
    if options.runs and (options.forget or options.list):
        raise StudyError("learn takes runs, --list or --forget, one of them")
    if not (options.runs or options.forget or options.list or options.json):
        raise StudyError("learn wants run folders: zonesearch learn RUN..., or --list, or --forget RUN...")
    if options.forget:
        everything = options.forget == ["all"]
        for run in [file.stem for file in sorted(cache.folder.glob("*.json"))] if everything else options.forget:
            print(f"forgot {cache.forget(run)}")
        return
    kept = cache.keep_all(options.runs) if options.runs else cache.all()
    if options.json:
        print(json.dumps([{"source": each.source, **each.lesson.describe()} for each in kept], indent=2))
        return
    for each in kept:
        print(_line(each))
    if not kept:
        print("Nothing was learned yet: zonesearch learn RUN...")
    elif options.runs:
        print("New searches with the stage controller begin with it; [controller] cache = false leaves it out.")


def _line(each: Cached) -> str:
    """A run as one line."""
    lesson = each.lesson
    roles = ", ".join(role for role, _ in lesson.values)
    return f"{each.source}: {len(lesson)} settings of {lesson.trainings} trainings, by {roles}"
