"""Runs the tests in parts, two side by side, one a core: each part is a folder in a process of its own, the longest first.

A part's output is printed when it ends, and the plain sum at the end. Arguments go to all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 2
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Tests start the command hundreds of times: its modules are compiled once, as in any installation."""
NOTHING_CHOSEN = 5
"""What pytest ends with where arguments leave nothing of a part."""
LONG = ("e2e", "web", "chaos", "app", "unit", "conformance", "property", "drivers", "mqtt", "transfer")
"""Parts that take longest, in the order in which they begin; the others follow, and fill what is left."""
UNCOUNTED = {"e2e", "web", "chaos", "transfer", "outside", "architecture"}
"""Parts that run without counting which lines they reach: it doubles their time, and the rooms that have a floor
(`coverage_floor.py`) are reached by the others, or run in processes of their own here.
"""
_COUNT = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


def parts() -> list[Path]:
    """Every folder of tests; those of integration one by one, as each starts servers of its own."""
    tests = ROOT / "tests"
    folders = [*tests.iterdir(), *(tests / "integration").iterdir()]
    found = [f for f in folders if f.name != "integration" and f.is_dir() and any(f.rglob("test_*.py"))]
    return sorted(found, key=lambda f: (LONG.index(f.name) if f.name in LONG else len(LONG), f.name))


def run(part: Path) -> tuple[int, str]:
    """Run one part: its exit code, and what it printed."""
    counted = [] if part.name in UNCOUNTED else ["-m", "coverage", "run"]
    pytest = [*counted, "-m", "pytest", "-m", "not soak", "-q", "--durations=4"]
    done = subprocess.run(
        [sys.executable, *pytest, *sys.argv[1:], str(part.relative_to(ROOT))],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"=== {part.relative_to(ROOT)}\n{done.stdout}", end="", flush=True)
    return done.returncode, done.stdout


def main() -> int:
    """Exit code 0 when all parts passed."""
    totals: dict[str, int] = {}
    worst = 0
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        for code, text in pool.map(run, parts()):
            worst = max(worst, 0 if code == NOTHING_CHOSEN else abs(code))
            for count, word in _COUNT.findall(text.strip().rpartition("\n")[2]):
                totals[word.rstrip("s") if word == "errors" else word] = totals.get(word, 0) + int(count)
    failed = totals.get("failed", 0) + totals.get("error", 0)
    print(f"{totals.get('passed', 0)} passed, {failed} failed", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
