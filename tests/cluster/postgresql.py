"""A PostgreSQL server of its own, in a temporary folder, on a port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

_USERS = ("postgres", "nobody")


def binaries() -> Path | None:
    """The newest installed server, wherever the distribution puts it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


class PostgreSQL:
    """Made by ``initdb``; started and stopped at will. The server refuses to run as root, so root lends it a user."""

    def __init__(self, port: int) -> None:
        place = binaries()
        assert place is not None
        self._bin, self._port = place, port
        self._home = Path(tempfile.mkdtemp(prefix="zonesearch-postgresql-", dir="/tmp"))
        self._user = self._unprivileged()
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._home, account.pw_uid, account.pw_gid)
        self._data = self._home / "data"
        self._call("initdb", "-D", self._data, "-U", "zonesearch", "--auth=trust", "--no-sync")
        self.url = f"postgresql://zonesearch:secret@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._home} -c fsync=off"
        self._call("pg_ctl", "-D", self._data, "-w", "-o", options, "-l", self._home / "log", "start")

    def stop(self) -> None:
        """At once, as in a power cut; connections are cut."""
        self._call("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        subprocess.run(self._command("pg_ctl", "-D", self._data, "-m", "immediate", "stop"), capture_output=True)
        shutil.rmtree(self._home, ignore_errors=True)

    @staticmethod
    def _unprivileged() -> str | None:
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name for entry in pwd.getpwall()}
        return next(user for user in _USERS if user in known)

    def _command(self, program: str, *arguments: object) -> list[str]:
        command = [str(self._bin / program), *map(str, arguments)]
        return ["runuser", "-u", self._user, "--", *command] if self._user else command

    def _call(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            self._command(program, *arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._home,
        )
        assert done.returncode == 0, done.stderr
