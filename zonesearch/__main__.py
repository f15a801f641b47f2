"""``python -m zonesearch`` is the command ``zonesearch``."""

from zonesearch.cli import main

raise SystemExit(main())
