"""Show the learning rates of a schedule before anything trains."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zonesearch.cli.ascii_plot import ascii_plot

if TYPE_CHECKING:
    from zonesearch.training.schedules import Preview

__all__ = ["add_arguments", "call", "picture"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """SPEC --epochs N --steps-per-epoch K --lr R [--json] [--html FILE]."""
    parser.add_argument("spec", metavar="SPEC", help='the schedule, such as "step(every=7, factor=0.5)"')
    parser.add_argument("--epochs", type=int, default=40, help="the length of the training (40)")
    parser.add_argument("--steps-per-epoch", type=int, default=100, help="optimizer steps in an epoch (100)")
    parser.add_argument("--lr", type=float, default=1e-3, help="the base learning rate (0.001)")
    parser.add_argument("--json", action="store_true", help="print the rates, one per step, and the members as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a plot to an HTML file")


def call(options: argparse.Namespace) -> None:
    """Print a plot of the rates, or the rates."""
    import json

    from zonesearch.training.schedules import Preview

    preview = Preview.of(options.spec, options.epochs, options.steps_per_epoch, options.lr)
    if options.html:
        from zonesearch.report.learning_rates import schedule_figure, write_figure

        write_figure(schedule_figure(preview.learning_rates, preview.steps_per_epoch, preview.schedule), options.html)
    print(json.dumps(preview.describe()) if options.json else picture(preview))


def picture(preview: Preview, width: int = 72, height: int = 12) -> str:
    """A text plot of the rate over the epochs."""
    drawn = ascii_plot(preview.learning_rates, x_from="epoch 0", x_to=str(preview.epochs), width=width, height=height)
    stored = f"members of an average or ensemble after epochs {_epochs(preview.members)}" if preview.members else ""
    return "\n".join(line for line in (preview.schedule, drawn, stored, preview.note) if line)


def _epochs(epochs: Sequence[int]) -> str:
    """``8, 16, 24``; ``30 to 40`` for consecutive epochs."""
    if len(epochs) > 2 and list(epochs) == list(range(epochs[0], epochs[-1] + 1)):
        return f"{epochs[0]} to {epochs[-1]}"
    return ", ".join(map(str, epochs))
