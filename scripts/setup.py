"""`make setup`: from a bare Python and pip to `.venv/bin/isthmus` with its screens built. Idempotent.

Runs on the system's Python with nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
QUIET = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(*command: object) -> None:
    """Run, and stop with the command's own words when it fails."""
    result = subprocess.run([str(c) for c in command], cwd=ROOT, env=QUIET, check=False)
    if result.returncode:
        sys.exit(f"setup: {' '.join(map(str, command))} failed with {result.returncode}")


def digest(*files: Path) -> str:
    """One hash over the contents of the files."""
    total = hashlib.sha256()
    for file in files:
        total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def stamped(name: str, value: str) -> bool:
    """Whether this step was done for the same inputs before."""
    stamp = VENV / f"setup-{name}"
    return stamp.exists() and stamp.read_text() == value


def stamp(name: str, value: str) -> None:
    """The step is done for these inputs."""
    (VENV / f"setup-{name}").write_text(value)


def make_venv() -> None:
    """A virtual environment, also where Debian left out ensurepip."""
    if PYTHON.exists():
        return
    print("setup: making .venv", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    if made.returncode:
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)


def pip(*arguments: object) -> None:
    """The environment's own pip, or the system's pip working on the environment."""
    if (VENV / "bin" / "pip").exists():
        run(PYTHON, "-m", "pip", *arguments)
    else:
        run(sys.executable, "-m", "pip", "--python", PYTHON, *arguments)


def install() -> None:
    """Exactly what the lock says, by hash; then this tree itself."""
    wanted = digest(ROOT / "requirements.lock", ROOT / "pyproject.toml")
    if stamped("packages", wanted):
        return
    print("setup: installing packages (a few minutes the first time)", flush=True)
    pip("install", "--quiet", "--require-hashes", "-r", "requirements.lock")
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    stamp("packages", wanted)


def build_screens() -> None:
    """The browser's part, with the Node.js that came as a wheel."""
    run(PYTHON, "scripts/screens.py", "build")


def write_materials() -> None:
    """The bill of materials, for who runs from this tree; a wheel brings its own."""
    made = ROOT / "src" / "isthmus" / "sbom.cdx.json"
    wanted = digest(
        *(ROOT / name for name in ("requirements.lock", "pyproject.toml", "ui/package-lock.json", "scripts/sbom.py"))
    )
    if made.exists() and stamped("materials", wanted):
        return
    run(PYTHON, "scripts/sbom.py")
    stamp("materials", wanted)


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(f"setup: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    make_venv()
    install()
    write_materials()
    build_screens()
