"""Find the range of useful learning rates by raising the rate step by step."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from zonesearch.cli.options import add_study, given_study

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml [--set KEY=VALUE] [--at NAME=VALUE] [--seeds N] [--low R] [--high R] [--steps N] [--sweep KIND] ..."""
    add_study(parser)
    parser.add_argument(
        "--at",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of the tested point, such as width=512; by default the middle of each axis; may be repeated",
    )
    parser.add_argument("--seeds", type=int, default=5, help="sweeps, whose losses are averaged (5)")
    parser.add_argument("--low", type=float, help="the first learning rate (1e-6 per step, after the batch rule)")
    parser.add_argument("--high", type=float, help="the last learning rate (10 per step, after the batch rule)")
    parser.add_argument("--steps", type=int, default=175, help="optimizer steps per sweep (175)")
    parser.add_argument(
        "--sweep", choices=("exponential", "linear"), default="exponential", help="how the rate increases"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a plot to an HTML file")


def call(options: argparse.Namespace) -> None:
    """Sweep, print the suggestion and the bounds."""
    import json

    from zonesearch.cli.ascii_plot import ascii_plot
    from zonesearch.errors import StudyError
    from zonesearch.run.engines.limited import limited
    from zonesearch.training.lr_range import lr_range

    study = given_study(options)
    html = options.html and options.html.absolute()  # an objective may change the working directory
    if options.seeds < 1:
        raise StudyError(f"--seeds must be at least 1, not {options.seeds}")
    params: dict[str, Any] = {axis.name: axis.row()[len(axis.row()) // 2] for axis in study.space.axes}
    params = {name: value for name, value in params.items() if name not in ("schedule", "learning_rate")}
    params |= dict(_given(text) for text in options.at)
    options.watch.trains()
    limit, n_threads = study.run.get("timeout"), int(study.run.get("threads", 1))
    with limited(study.objective(), limit, options.watch.apart, n_threads) as objective:
        found = lr_range(
            objective,
            params,
            seeds=range(options.seeds),
            low=options.low,
            high=options.high,
            n_steps=options.steps,
            sweep=options.sweep,
        )
    if html:
        from zonesearch.report.learning_rates import range_figure, write_figure

        write_figure(range_figure(found), html)
    if options.json:
        print(json.dumps({"study": study.name, "params": params, **found.describe()}))
        return
    rates = list(found.learning_rates)
    print(f"{study.name}, range test at {', '.join(f'{name} {value}' for name, value in params.items())}")
    print(
        ascii_plot(
            found.smoothed,
            x_from=f"{rates[0]:.2g}",
            x_to=f"{rates[-1]:.2g}",
            marks={
                f"low {found.low:.2g}": rates.index(found.low),
                f"suggestion {found.suggestion:.2g}": rates.index(found.suggestion),
                f"high {found.high:.2g}": rates.index(found.high),
            },
        )
    )
    print(f"Learning rate: {found.suggestion:.2g}; a cyclical schedule: {found.schedule}")
    for warning in found.warnings:
        print(f"Careful: {warning}.")


def _given(text: str) -> tuple[str, Any]:
    """Parse NAME=VALUE, where the value is TOML or plain text."""
    import tomllib

    from zonesearch.errors import StudyError

    name, equals, raw = text.partition("=")
    if not equals or not name.strip():
        raise StudyError(f"--at takes NAME=VALUE, such as width=512, not {text!r}")
    try:
        return name.strip(), tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), raw.strip()
