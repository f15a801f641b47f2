"""Train a setting from a run, by default the recommended one, and save the network to a single file."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--setting S] [--out FILE] [--all-data] [--seed S | --ensemble K] and further output files."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder, finished or not")
    parser.add_argument(
        "--setting",
        metavar="best|cheapest|N",
        help="best, cheapest (of those that cannot be told apart from the best) or the number of a finalist "
        "(default: what the verdict recommends)",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file (default: RUN/network.pt)")
    parser.add_argument(
        "--all-data",
        action="store_true",
        help="train on the training and the validation split, for as many epochs as validation chose",
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", metavar="S", type=int, help="the seed (default: the first that judged the setting)")
    seeds.add_argument("--ensemble", metavar="K", type=int, help="train K seeds and average their probabilities")
    parser.add_argument("--onnx", metavar="FILE", type=Path, help="also write the network as ONNX, and check it")
    parser.add_argument("--toml", metavar="FILE", type=Path, help="also write a study file of the setting")
    parser.add_argument(
        "--study", metavar="STUDY.toml", type=Path, help="the study file, needed if the run uses your own code"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="with --study: override one of its keys, as in run",
    )


def call(options: argparse.Namespace) -> None:
    """Train, write, print what was written and how good it is."""
    from zonesearch.cli.options import find_own_modules
    from zonesearch.core.outputs import check_place
    from zonesearch.errors import StudyError
    from zonesearch.run.taking_home import open_home

    if options.seed is not None and options.seed < 0:
        raise StudyError(f"--seed must be 0 or more, not {options.seed}")
    if options.ensemble is not None and options.ensemble < 1:
        raise StudyError(f"--ensemble must be at least 1, not {options.ensemble}")
    if options.set and options.study is None:
        raise StudyError("--set replaces a key of the study file that --study names: add --study")
    for place in filter(None, (options.out, options.onnx)):
        check_place(place)
    if options.study is not None:
        find_own_modules()
    home = open_home(options.run, options.setting, study=options.study, replacements=options.set)
    for sentence in filter(None, (home.settled.note,)):
        print(sentence)
    if options.toml is not None:
        _write(options.toml, home.study_file())
    if home.function is not None:
        for_networks = ("out", "all_data", "ensemble", "onnx")
        useless = next((name for name in for_networks if getattr(options, name)), None)
        if useless is not None:
            raise StudyError(
                f"--{useless.replace('_', '-')} is for networks, but the objective of this run is a function, which "
                "does its own training; `zonesearch train RUN` prints its call"
            )
        if options.toml is not None:
            print(f"Study file: {options.toml}")
        print(home.call(options.seed))
        return
    from zonesearch.core.wording import point_text
    from zonesearch.run.progress import share_bar
    from zonesearch.training.network_file import save_network
    from zonesearch.training.onnx_file import check_onnx, save_onnx

    if options.onnx is not None:
        check_onnx()
        if (home.tables or {}).get("data", {}).get("collate"):
            raise StudyError("--onnx: a network whose examples are collated has no one shape of inputs; leave it out")
    seeds: tuple[int, ...] | None = None if options.seed is None else (options.seed,)
    if options.ensemble is not None:
        seeds = home.settled.seeds_of(options.ensemble)
    out = (options.out or options.run / "network.pt").absolute()
    onnx = options.onnx and options.onnx.absolute()  # user code may change the working directory
    for place in filter(None, (out, onnx)):
        _check_place(place)
    with share_bar(f"{home.results.name}: {home.settled.why}") as report:
        trained = home.train(all_data=options.all_data, seeds=seeds, report=report, say=_say)
    print(f"{point_text(home.settled.params)}: {home.settled.why}")
    about, metric = trained.about, home.results.metric
    said = ", ".join(
        f"{metric.name} on {name} {metric.text(sum(about[name]) / len(about[name]))}"
        for name in ("validation", "test")
        if about[name]
    )
    n = len(about["seeds"])
    several = f"each of {n} seeds has in the mean " if n > 1 else ""
    said += f"; together they have {metric.text(about['together_on_test'])} on test" if n > 1 else ""
    epochs = ", ".join(map(str, dict.fromkeys(about["epochs"])))
    print(f"Trained on {about['trained_on']}, {epochs} epoch{'s' if epochs != '1' else ''}; {several}{said}")
    save_network(trained, out)
    print(f"Network: {options.out or options.run / 'network.pt'}")
    if onnx is not None:
        save_onnx(trained, onnx)
        print(f"ONNX: {options.onnx}")
    if options.toml is not None:
        print(f"Study file: {options.toml}")


def _check_place(path: Path) -> None:
    """Check that a file can be written before spending hours on its contents."""
    from zonesearch.core.outputs import check_place
    from zonesearch.errors import StoreError

    check_place(path)  # RUN/network.pt too
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from None
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"{path} cannot be written: its folder is read-only")


def _say(sentence: str) -> None:
    print(f"zonesearch: {sentence}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    from zonesearch.errors import StoreError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"study file {path} cannot be written: {error.strerror or error}") from None
