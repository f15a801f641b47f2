"""The numbers of docs/found.md and of the replication of the source's statements, from files that ship.

    python -m benchmarks.found                  # all tables in Markdown, within seconds
    python -m benchmarks.found --record RUNS    # first writes the files anew, from the runs in the folder RUNS

The runs are those of ``studies/mnist_fnn.toml``, ``mnist_fnn_80.toml``, ``mnist_fnn_wide.toml``,
``mnist_fnn_rates.toml``, ``mnist_fnn_reader.toml`` and of ``benchmarks.gains``; what is not there yet leaves its table
out. Files: the map is ``benchmarks/recorded/mnist_full.json``, everything else lies in ``benchmarks/found/``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.gains import read_choices
from benchmarks.gains import text as choices_table
from benchmarks.pictures import Interval, Picture, Row, mean_interval, share_interval
from benchmarks.reach import reach_table, read_contest, replay, write_contest
from benchmarks.statements import (
    LAST,
    Statement,
    all_ones,
    cells_alike,
    differs_later,
    indistinguishable,
    one_optimum,
    repeats_differ,
    settles,
    shows_a_zone,
    spread_of_width,
    statements_table,
    zones_of,
)
from zonesearch.benchmark.recorded import RecordedMap
from zonesearch.benchmark.recording import map_of, read_map, write_map
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Trials
from zonesearch.run.recorded import read_run
from zonesearch.statistics.search_results import SearchResults
from zonesearch.study.files import read_study

__all__ = ["FOLDER", "MAP", "main", "tables"]

HERE = Path(__file__).parent
MAP = HERE / "recorded" / "mnist_full.json"
FOLDER = HERE / "found"

ALIKE = ((1024, 512), (1024, 256), (512, 128), (512, 512))
"""The four cells of the source, width and batch, and what it takes for alike: the difference of two repeats there."""
MARGIN = 0.3
SPREAD = 1.49
LONGER = 80
_WIDTHS = (128, 192, 256, 384, 512, 768, 1024)
_READER = 98.95
_PLAIN, _GAIN = 98.60, 0.09


# -- writing the files


def record(runs: Path) -> None:
    """Write what the runs in ``runs`` say, as far as they are there."""
    FOLDER.mkdir(exist_ok=True)
    if (runs / "mnist_fnn").is_dir():
        study = read_study(HERE.parent / "studies" / "mnist_fnn.toml")
        results = read_run(runs / "mnist_fnn")[0]
        own = Trials(trial for trial in results.trials.records() if trial.epochs == study.epochs)
        results = replace(results, space=study.space, epochs=study.epochs, trials=own)
        write_map(_gridded(results), MAP)
        write_contest(replay(read_map(MAP)), FOLDER / "contest.json")
    for folder in (runs / "mnist_fnn_80", runs / "mnist_fnn"):
        if folder.is_dir():
            longer = _part(read_run(folder)[0], _space(_WIDTHS, [64]), LONGER, "mnist_batch_64")
            if longer is not None:
                write_map(longer, FOLDER / "batch_64.json")
                break
    for name in ("wide", "reader"):
        if (runs / f"mnist_fnn_{name}").is_dir():
            _write_whole(read_run(runs / f"mnist_fnn_{name}")[0], name)
    if (runs / "mnist_fnn_rates").is_dir():
        _write_tests(read_run(runs / "mnist_fnn_rates")[0].trials, FOLDER / "rates.json")
    if (runs / "mnist_fnn-gains").is_dir():
        _write_tests(read_run(runs / "mnist_fnn-gains")[0].trials, FOLDER / "fresh.json")
    if (runs / "mnist_fnn_reader").is_dir():
        _write_tests(read_run(runs / "mnist_fnn_reader")[0].trials, FOLDER / "reader_test.json")


def _gridded(results: SearchResults, name: str = "mnist_full") -> RecordedMap:
    """The cells of the grid alone, those that have a training."""
    rows = {axis.name: set(axis.row()) for axis in results.space.axes}
    whole = map_of(results)
    cells = [cell for cell in whole.cells if all(cell.params[axis] in row for axis, row in rows.items())]
    cells.sort(key=lambda cell: (cell.params["batch"], cell.params["width"]))
    return replace(whole, cells=tuple(cells), name=name)


def _space(widths: Sequence[int], batches: Sequence[int]) -> Space:
    return Space.parse({"width": list(widths), "batch": list(batches)})


def _part(results: SearchResults, space: Space, epochs: int, name: str) -> RecordedMap | None:
    """The cells of ``space`` whose trainings are so long; None where some cell has none."""
    long_enough = Trials(trial for trial in results.trials if trial.epochs >= epochs)
    found = replace(results, space=space, epochs=epochs, trials=long_enough)
    if not any(space.contains(trial.params) for trial in long_enough):
        return None
    recorded = _gridded(found, name)
    return recorded if len(recorded.cells) == space.n_cells else None


def _write_whole(results: SearchResults, name: str) -> None:
    """The widths of a run that are trained, with as many seeds as all of them have."""
    lengths = {trial.epochs for trial in results.trials if trial.complete}
    done = {int(trial.params["width"]) for trial in results.trials if trial.complete}
    batches = {int(trial.params["batch"]) for trial in results.trials if trial.complete}
    if done:
        recorded = _part(results, _space(sorted(done), sorted(batches)), max(lengths), f"mnist_{name}")
        if recorded is not None:
            write_map(recorded, FOLDER / f"{name}.json")


def _write_tests(trials: Trials, path: Path) -> None:
    """Test accuracies in per cent: one line a training."""
    rows = [
        {
            "params": dict(trial.params),
            "seed": trial.seed,
            "validation": 100 * (trial.accuracy or math.nan),
            "test": 100 * trial.test_accuracy,
        }
        for trial in trials
        if trial.test_accuracy is not None
    ]
    rows.sort(key=lambda row: json.dumps(row))
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


# -- reading them


def _map(name: str) -> RecordedMap | None:
    path = FOLDER / f"{name}.json"
    return read_map(path) if path.exists() else None


def statements() -> Iterator[Statement]:
    """What the source said, one after the other."""
    recorded = read_map(MAP)
    picture, longer, wide = Picture.of(recorded), _map("batch_64"), _map("wide")
    yield one_optimum(picture)
    yield differs_later(picture)
    if longer is not None:
        yield settles(Picture.of(longer))
    yield shows_a_zone(recorded)
    yield cells_alike(picture, ALIKE, MARGIN)
    yield all_ones([picture, *([Picture.of(wide)] if wide is not None else [])])
    yield repeats_differ(picture, MARGIN)
    yield spread_of_width(picture, 128, SPREAD)
    yield indistinguishable(9860, 9869, 10_000)
    if (FOLDER / "choices.json").exists():
        yield from _plain_grid()
    if (FOLDER / "reader_test.json").exists():
        yield _reader()


def _plain_grid() -> Iterator[Statement]:
    """A plain grid gives 98.60 on the test images, careful work 0.09 more.

    The first is held when the interval reaches the number, the second when that of the largest gain, at a level for all
    gains together, lies above 0.
    """
    choices = read_choices(FOLDER / "choices.json")
    plain, rest = choices[0], [choice for choice in choices[1:] if choice.values != choices[0].values]
    found = mean_interval(plain.values)
    other = "less" if found.high < _PLAIN else "more"
    verdict = "held" if found.low <= _PLAIN <= found.high else f"did not hold: {other}"
    setting = f"{plain.params['width']} x {plain.params['batch']}"
    here = f"{setting}, chosen by validation, with {found.n} fresh seeds on the test images: {found.text()}"
    yield Statement(f"a plain grid gives {_PLAIN:.2f} on the test images", here, verdict)
    same = [choice.by for choice in choices[1:] if choice not in rest]
    here = f"{', '.join(same)}: the plain grid's own cell" if same else ""
    verdict = "did not hold: they choose the same cell"
    if rest:
        best = max(rest, key=lambda choice: choice.gain)
        gain = mean_interval(np.array(best.values) - np.array(plain.values), 1 - 0.05 / len(rest))
        said = f"the largest of {len(rest)} gains, by {best.by}: {gain.text(sign=True)} (n = {gain.n})"
        here = f"{here}; {said}" if here else said
        verdict = "held" if gain.low > 0 else "did not hold" if gain.high < _GAIN else "cannot be told"
    yield Statement(f"careful work gives {_GAIN:.2f} more", here, verdict)


def _reader() -> Statement:
    """A reader's 98.95 at epoch 9 with 50,000 neurons: held when the interval (Wilson's of one seed) reaches it."""
    rows = json.loads((FOLDER / "reader_test.json").read_text(encoding="utf-8"))
    tests = [row["test"] for row in rows]
    found = mean_interval(tests)
    if math.isnan(found.low):
        share = share_interval(round(100 * tests[0]), 10_000)
        found = Interval(tests[0], 100 * share.low, 100 * share.high, 1)
    other = "less" if found.high < _READER else "more"
    verdict = "held" if found.low <= _READER <= found.high else f"did not hold: {other}"
    batch = rows[0]["params"]["batch"]
    here = f"test accuracy {found.text()} at the best of 9 epochs, batch {batch} (n = {len(tests)})"
    return Statement("50,000 hidden neurons give 98.95 at epoch 9 (a reader)", here, verdict)


def optimism() -> str:
    """What the best cell of one seed's map shows, and what it is worth with the other seeds."""
    picture = Picture.of(read_map(MAP))
    rows = [
        "| seed of the map | its best cell, width x batch | it shows | it is worth with other seeds | overestimate |"
    ]
    rows.append("| --- | --- | --- | --- | --- |")
    for name, reading in (("best epoch", BEST), ("last epoch", LAST)):
        values = picture.read(reading)
        for seed in range(picture.n_seeds):
            i, j = np.unravel_index(int(values[..., seed].argmax()), values.shape[:2])
            shown = float(values[i, j, seed])
            worth = float(np.delete(values[i, j], seed).mean()) if picture.n_seeds > 1 else math.nan
            cell = f"{picture.widths[int(j)]} x {picture.batches[int(i)]}"
            rows.append(f"| {seed}, {name} | {cell} | {shown:.2f} | {worth:.2f} | {shown - worth:+.2f} |")
    means = picture.read(BEST).mean(axis=2)
    i, j = np.unravel_index(int(means.argmax()), means.shape)
    fresh = _fresh(picture.widths[int(j)], picture.batches[int(i)])
    if fresh.n:
        cell, shown = f"{picture.widths[int(j)]} x {picture.batches[int(i)]}", float(means[i, j])
        worth = f"{fresh.text()}, n = {fresh.n} fresh ones"
        rows.append(f"| all, best epoch | {cell} | {shown:.2f} | {worth} | {shown - fresh.value:+.2f} |")
    return "\n".join(rows)


def _fresh(width: int, batch: int) -> Interval:
    """Validation accuracy of a cell with seeds that no map has used."""
    path = FOLDER / "fresh.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    cell = {"width": width, "batch": batch}
    return mean_interval([row["validation"] for row in rows if row["params"] == cell])


def map_table() -> str:
    """The map: mean of the best epochs, in per cent, zone 1 in bold."""
    recorded = read_map(MAP)
    picture = Picture.of(recorded)
    zone = {(int(cell["width"]), int(cell["batch"])) for cell in zones_of(recorded)[0].cells}
    rows = ["| width | " + " | ".join(f"batch {batch}" for batch in picture.batches) + " |"]
    rows.append("| --- |" + " --- |" * len(picture.batches))
    means = picture.read(BEST).mean(axis=2)
    for j, width in enumerate(picture.widths):
        cells = (
            f"**{means[i, j]:.2f}**" if (width, batch) in zone else f"{means[i, j]:.2f}"
            for i, batch in enumerate(picture.batches)
        )
        rows.append(f"| {width} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def rates_table() -> str:
    """Test accuracy by cell and learning rate."""
    found: dict[tuple[int, int], dict[float, dict[int, float]]] = {}
    for row in json.loads((FOLDER / "rates.json").read_text(encoding="utf-8")):
        params = row["params"]
        cell = found.setdefault((params["width"], params["batch"]), {})
        cell.setdefault(params["learning_rate"], {})[row["seed"]] = row["test"]
    rates = sorted({rate for cell in found.values() for rate in cell})
    low, high = rates[0], rates[-1]
    rows = [
        "| width x batch | " + " | ".join(f"rate {rate:g}" for rate in rates) + f" | {high:g} minus {low:g}, paired |"
    ]
    rows.append("| --- |" + " --- |" * (len(rates) + 1))
    for (width, batch), cell in sorted(found.items()):
        texts = [_with_n(mean_interval(list(cell.get(rate, {}).values()))) for rate in rates]
        pairs = [cell[high][seed] - cell[low][seed] for seed in cell.get(high, {}) if seed in cell.get(low, {})]
        rows.append(f"| {width} x {batch} | {' | '.join([*texts, _with_n(mean_interval(pairs), sign=True)])} |")
    return "\n".join(rows)


def _with_n(found: Interval, sign: bool = False) -> str:
    return f"{found.text(sign=sign)}, n = {found.n}" if found.n else ""


def wide_table() -> str:
    """Validation accuracy at batch 64 by width, the map's and larger ones; the noise is pooled over the widths."""
    pictures = [Picture.of(read_map(MAP)), *(Picture.of(found) for found in (_map("wide"),) if found is not None)]
    rows = ["| width, batch 64 | best epoch | last epoch | seeds |", "| --- | --- | --- | --- |"]
    halves = {}
    for picture in pictures:
        found = {name: _row_64(picture, reading) for name, reading in (("best", BEST), ("last", LAST))}
        halves = halves or {name: row.half_width() * math.sqrt(row.n_seeds) for name, row in found.items()}
        for j, width in enumerate(picture.widths):
            n = picture.n_seeds
            said = (f"{row.means[j]:.2f} ± {halves[name] / math.sqrt(n):.2f}" for name, row in found.items())
            rows.append(f"| {width} | {' | '.join(said)} | {n} |")
    return "\n".join(rows)


def _row_64(picture: Picture, reading: Reading) -> Row:
    return next(row for row in picture.rows(reading) if row.batch == 64)


def tables() -> dict[str, str]:
    """All tables by their headings, as far as their files are there."""
    found = {"map": map_table(), "statements": statements_table(list(statements())), "optimism": optimism()}
    found["wide"] = wide_table()
    if (FOLDER / "choices.json").exists():
        found["choices"] = choices_table(read_choices(FOLDER / "choices.json"))
    if (FOLDER / "contest.json").exists():
        found["reach"] = reach_table(read_contest(FOLDER / "contest.json"))
    if (FOLDER / "rates.json").exists():
        found["rates"] = rates_table()
    return found


def filled(text: str, made: dict[str, str]) -> str:
    """A document with its tables made anew: what stands between ``<!-- found: NAME -->`` and ``<!-- end -->``."""
    for name, table in made.items():
        begin, end = f"<!-- found: {name} -->\n", "<!-- end -->"
        before, marker, rest = text.partition(begin)
        if marker:
            text = f"{before}{marker}\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


DOCUMENTS = tuple(HERE.parent / "docs" / name for name in ("found.md", "claims.md"))


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", metavar="RUNS", type=Path, help="write the files anew from the runs in this folder")
    parser.add_argument("--write", action="store_true", help="write the tables into the documents too")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.record:
        record(options.record)
    made = tables()
    if options.write:
        for path in DOCUMENTS:
            path.write_text(filled(path.read_text(encoding="utf-8"), made), encoding="utf-8")
    print("\n\n".join(f"## {name}\n\n{table}" for name, table in made.items()))


if __name__ == "__main__":
    main()
