"""``python -m zonesearch`` is the command ``zonesearch``."""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]  # ``-m`` puts the current folder first, which may be a stranger's: commands that read do not

from zonesearch.cli.main import main

raise SystemExit(main())
