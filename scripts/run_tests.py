"""Runs the tests in parts, two side by side, one a core: each part is a folder in a process of its own, the longest first.

A part's output is printed when it ends, and the plain sum at the end. Arguments go to all. Tests start real servers and
browsers on a machine that may have other work: where very few of a part fail, those are run once more by themselves when all else is
done. What only passes then is named at the end, since it is a test to mend or a race to find.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
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
FEW = 3
"""So many failures of a part may be the machine's; more are the code's."""
_COUNT = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


def parts() -> list[Path]:
    """Every folder of tests; those of integration one by one, as each starts servers of its own."""
    tests = ROOT / "tests"
    folders = [*tests.iterdir(), *(tests / "integration").iterdir()]
    found = [f for f in folders if f.name != "integration" and f.is_dir() and any(f.rglob("test_*.py"))]
    return sorted(found, key=lambda f: (LONG.index(f.name) if f.name in LONG else len(LONG), f.name))


def run(part: Path, *more: str) -> tuple[int, str]:
    """Run one part: its exit code, and what it printed."""
    counted = [] if part.name in UNCOUNTED else ["-m", "coverage", "run"]
    memory = f"cache_dir=.pytest_cache/{part.name}"  # which tests failed; parts run side by side
    pytest = [*counted, "-m", "pytest", "-m", "not soak", "-q", "--durations=4", "-o", memory]
    done = subprocess.run(
        [sys.executable, *pytest, *more, *sys.argv[1:], str(part.relative_to(ROOT))],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"=== {part.relative_to(ROOT)}{' '.join(['', *more])}\n{done.stdout}", end="", flush=True)
    return done.returncode, done.stdout


def counts(text: str) -> Counter[str]:
    """How many tests passed, failed, were skipped, as pytest's last line says."""
    found = _COUNT.findall(text.strip().rpartition("\n")[2])
    return Counter({"failed" if word.startswith("error") else word: int(count) for count, word in found})


def main() -> int:
    """Exit code 0 when all parts passed."""
    totals: Counter[str] = Counter()
    worst = 0
    again: list[tuple[Path, int]] = []
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        for part, (code, text) in zip(parts(), pool.map(run, parts()), strict=True):
            some = counts(text)
            totals += some
            if code == 1 and 0 < some["failed"] <= FEW:
                again.append((part, some["failed"]))
            elif code != NOTHING_CHOSEN:
                worst = max(worst, abs(code))
    late = 0
    for part, failed in again:
        code, text = run(part, "--last-failed", "--last-failed-no-failures=none")
        passed = counts(text)["passed"]
        if code == 0 and passed == failed:
            totals += Counter(passed=passed)
            totals["failed"] -= failed
            late += passed
        else:
            worst = max(worst, abs(code), 1)
    told = f", {late} of them at the second try (see --last-failed above)" if late else ""
    print(f"{totals['passed']} passed, {totals['failed']} failed{told}", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
