"""Runs the tests in parts, some side by side: each part is a folder, or a piece of one, in a process of its own, the longest first.

A part's output is printed when it ends, and the plain sum at the end. Arguments go to all. Tests start real servers and
browsers on a machine that may have other work: where very few of a part fail, those are run once more by themselves when all else is
done. What only passes then is named at the end, since it is a test to mend or a race to find.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = (os.cpu_count() or 1) + 1
"""Parts side by side: one more than there are cores, as most of them wait for the servers they start."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Tests start the command hundreds of times: its modules are compiled once, as in any installation."""
NOTHING_CHOSEN = 5
"""What pytest ends with where arguments leave nothing of a part."""
SPLIT: dict[str, dict[str, tuple[str, ...]]] = {
    "e2e": {
        "e2e-made-up": ("test_control_screens.py", "test_floor_screens.py"),
        "e2e-own": ("test_own_plant.py", "test_sign_in.py"),
    },
    "unit": {"unit-counted": ("acquisition", "alarms", "bus", "control", "namespace", "values")},
}
"""Folders whose pieces are parts of their own, as they need other things: a demo, an installation, neither; lines counted or not."""
LONG = (
    *(
        "e2e",
        "web",
        "unit",
        "conformance",
        "chaos",
        "unit-counted",
        "app",
        "property",
        "e2e-made-up",
        "historian",
        "e2e-own",
    ),
    *("simulators", "transfer", "drivers", "mqtt", "control", "connectors", "outside"),
)
"""Parts that take longest, in the order in which they begin; the others follow, and fill what is left."""
COUNTED = {"unit-counted", "property", "golden", "acquisition", "alarms", "bus", "callout", "control", "mqtt"}
"""Parts that run with counting which lines they reach: it doubles their time, so only those do that are about the rooms which have a
floor (`coverage_floor.py`).
"""
LONGEST_S = 400
"""A test that has none of its own ends here: what hangs, and not what another part of the machine's work slows down."""
FEW = 3
"""So many failures of a part may be the machine's; more are the code's."""
_COUNT = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


@dataclass(frozen=True)
class Part:
    """What one process of pytest runs."""

    name: str
    paths: tuple[Path, ...]


def pieces(folder: Path) -> Iterator[Part]:
    """A folder as one part, or as the pieces it is split into and the rest."""
    split = SPLIT.get(folder.name, {})
    own = {folder / name for names in split.values() for name in names}
    if missing := [path for path in own if not path.exists()]:
        sys.exit(f"run_tests: SPLIT names what is not there: {missing}")
    for name, names in split.items():
        yield Part(name, tuple(folder / one for one in names))
    here = sorted({folder / path.relative_to(folder).parts[0] for path in folder.rglob("test_*.py")})
    if rest := [path for path in here if path not in own]:
        yield Part(folder.name, tuple(rest) if split else (folder,))


def parts() -> list[Part]:
    """Every folder of tests; those of integration one by one, as each starts servers of its own."""
    tests = ROOT / "tests"
    folders = [*tests.iterdir(), *(tests / "integration").iterdir()]
    found = [part for f in folders if f.is_dir() and f.name != "integration" for part in pieces(f)]
    return sorted(found, key=lambda p: (LONG.index(p.name) if p.name in LONG else len(LONG), p.name))


def run(part: Part, *more: str) -> tuple[int, str]:
    """Run one part: its exit code, and what it printed."""
    counted = ["-m", "coverage", "run"] if part.name in COUNTED else []
    memory = f"cache_dir=.pytest_cache/{part.name}"  # which tests failed; parts run side by side
    pytest = [*counted, "-m", "pytest", "-m", "not soak", "-q", "--durations=4", f"--timeout={LONGEST_S}", "-o", memory]
    pytest.append("--hypothesis-seed=1")  # the same examples each time; `make soak` looks for others
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *pytest, *more, *sys.argv[1:], *(str(path.relative_to(ROOT)) for path in part.paths)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    took_s = time.monotonic() - began
    print(f"=== {' '.join([part.name, *more])}, {took_s:.0f} s\n{done.stdout}", end="", flush=True)
    return done.returncode, done.stdout


def counts(text: str) -> Counter[str]:
    """How many tests passed, failed, were skipped, as pytest's last line says."""
    found = _COUNT.findall(text.strip().rpartition("\n")[2])
    return Counter({"failed" if word.startswith("error") else word: int(count) for count, word in found})


def main() -> int:
    """Exit code 0 when all parts passed."""
    totals: Counter[str] = Counter()
    worst = 0
    again: list[tuple[Part, int]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
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
        if code == 0:  # a test whose end failed as well counts twice among the failed
            passed = counts(text)["passed"]
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
