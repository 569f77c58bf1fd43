"""Who the servers run as: whoever runs the tests, or a user without rights where that is root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def user() -> pwd.struct_passwd:
    """The account for servers that refuse to run as root, or had better not."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def group() -> str:
    return grp.getgrgid(user().pw_gid).gr_name


def folder() -> Path:
    """A fresh folder that this account owns; not pytest's own, which nobody but its maker may enter.

    Its path is short: a socket's may have 107 characters.
    """
    path = Path(tempfile.mkdtemp(prefix="postbag-"))
    give(path)
    return path


def give(path: Path) -> None:
    """Let the account own a file or a folder."""
    os.chown(path, user().pw_uid, user().pw_gid)


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def start(command: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server as this account; what it prints goes to ``output`` in ``cwd``."""
    become = {"user": user().pw_uid, "group": user().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with (cwd / "output").open("ab") as output:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **become
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], output: Path, seconds: float = 20) -> None:
    """Return when the port answers; raises with what the server printed when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start:\n{output.read_text(errors='replace')}")


def stop(process: subprocess.Popen[bytes], patience: float = 10) -> None:
    """End a server; by force when it does not listen in time."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
