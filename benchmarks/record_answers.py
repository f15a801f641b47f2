"""A finished run as a file of answers: ``python -m benchmarks.record_answers RUN OUT.json``.

For each cell of its map and each seed which validation examples were right, as base64 of packed bits: what
:mod:`benchmarks.zones` needs to try how sharp zones are with their examples.
"""

from __future__ import annotations

import argparse
import json
from base64 import b64encode
from pathlib import Path

from zonesearch.run.recorded import read_run


def main() -> None:
    """Read the map, write a cell on each line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    mapped = read_run(options.run)[0].map
    assert mapped is not None
    cells = [
        json.dumps({"params": dict(cell.params), "right": [b64encode(bits).decode() for bits in cell.right]})
        for cell in mapped.cells
    ]
    head = json.dumps({"space": mapped.space.describe(), "n_validation": mapped.limit.n_validation})
    options.out.write_text(f'{head[:-1]}, "cells": [\n' + ",\n".join(cells) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
