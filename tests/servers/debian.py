"""Programs out of Debian packages, unpacked and not installed: the machine's own mail server stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEPT = Path(sys.prefix) / "peers"  # inside the virtual environment, so that both go together
_SEARCHED = "/usr/sbin:/usr/bin"
_ROUNDS = 4


def program(name: str, package: str) -> tuple[Path, dict[str, str]]:
    """A copy of a program that carries no rights of its own, and the environment to run it in.

    Taken from the machine where it is installed, else from the package and those of the libraries it lacks, which an
    ordinary user may fetch; kept for the next run. Raises RuntimeError with the line that helps.
    """
    place = KEPT / package
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as name_of_draft:
            draft = Path(name_of_draft)
            draft.chmod(0o755)
            _gather(name, package, draft)
            try:
                draft.rename(place)
            except OSError:  # another run was faster
                shutil.rmtree(draft)
            draft.mkdir()  # for the end of the block
    return place / name, _environment(place)


def _environment(place: Path) -> dict[str, str]:
    folders = sorted({str(path.parent) for path in place.rglob("lib*.so*")})
    return {"PATH": os.environ.get("PATH", os.defpath), "LD_LIBRARY_PATH": ":".join(folders)}


def _gather(name: str, package: str, into: Path) -> None:
    installed = shutil.which(name, path=_SEARCHED)
    if installed is None:
        _unpack([package], into)
        (found,) = [path for path in into.rglob(name) if path.is_file() and "bin" in path.parent.name][:1]
        installed = str(found)
    shutil.copyfile(installed, into / name)
    (into / name).chmod(0o755)
    fetched = {package}
    for _ in range(_ROUNDS):
        if not _lacks(into / name, into):
            return
        wanted = {one for known in fetched for one in _libraries(known)} - fetched
        _unpack(sorted(wanted), into)
        fetched |= wanted
    raise RuntimeError(f"The tests need {package}: apt-get install {package}")


def _lacks(binary: Path, place: Path) -> bool:
    """Whether the program misses a library."""
    done = subprocess.run(["ldd", binary], env=_environment(place), check=True, capture_output=True, text=True)
    return "not found" in done.stdout


def _libraries(package: str) -> set[str]:
    """The libraries that a package depends on and this machine has not installed."""
    done = subprocess.run(["apt-cache", "depends", "--important", package], check=True, capture_output=True, text=True)
    words = (line.split() for line in done.stdout.splitlines())
    named = {two[1] for two in words if len(two) > 1 and two[0] == "Depends:" and two[1].startswith("lib")}
    return {one for one in named if not _is_installed(one)}


def _is_installed(package: str) -> bool:
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.startswith("installed")


def _unpack(packages: list[str], into: Path) -> None:
    """Fetch packages with Debian's own tools and unpack them; nothing is installed or started."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["apt-get", "download", "-qq", *packages], cwd=folder, check=False, capture_output=True, text=True
        )
        if done.returncode:
            line = f"apt-get update && apt-get install {' '.join(packages)}"
            raise RuntimeError(f"The tests need {', '.join(packages)}: {line}\n{done.stderr}")
        for archive in sorted(Path(folder).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", archive, into], check=True)
