"""The long forms of everything: measurements in full length and the tests marked `soak`; writes docs/proof/.

`--only crash,latency` runs a part, `--quick` the short forms. Names are those of `isthmus bench`, `screens` (the long tests
in the browser, whose frames want a machine with nothing else to do) and `tests` (all other long tests).
A page tells the machine, the figures, their budgets and the verdict. A missed budget is written down as such and makes the
exit code 1; nothing is written for a part that did not end.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
PROOF = ROOT / "docs" / "proof"
# name of a part -> which of the tests marked `soak` it runs
LONG_TESTS = {"screens": ("tests/e2e",), "tests": ("tests", "--ignore=tests/e2e")}


def parts() -> tuple[str, ...]:
    """Everything that can be run, in order."""
    from isthmus.cli.bench import NAMES

    return (*LONG_TESTS, *NAMES)


def machine() -> dict[str, Any]:
    """What the figures were measured on; nothing that tells where it stands."""
    import psutil

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def busy() -> float:
    """Processes that wanted a core in the last minute: what else was going on when a measurement began."""
    return round(os.getloadavg()[0], 1)


def tests(name: str) -> dict[str, Any]:
    """The long tests of a part, each with its outcome, how long it took and the figures it recorded.

    Raises: RuntimeError when none was run
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "junit.xml"
        words = [sys.executable, "-m", "pytest", "-q", "-m", "soak", "-p", "no:cacheprovider", f"--junitxml={told}"]
        report = subprocess.run([*words, *LONG_TESTS[name]], cwd=ROOT, capture_output=True, text=True, check=False)
        print(report.stdout[-4000:], report.stderr[-2000:], sep="\n", file=sys.stderr)
        cases = list(ET.parse(told).iter("testcase")) if told.exists() else []  # noqa: S314  written by our own run
    if not cases:
        raise RuntimeError(f"pytest ended with code {report.returncode}, and no test was run")
    runs = [
        {
            "test": f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name')}",
            "took_s": float(case.get("time", 0)),
            "outcome": next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"),
            "figures": {str(p.get("name")): str(p.get("value")) for p in case.iter("property")},
        }
        for case in cases
    ]
    missed = [run["test"] for run in runs if run["outcome"] != "passed"]
    return {
        "name": name,
        "figures": {},
        "budget": {},
        "ok": not missed and not report.returncode,
        "missed": missed,
        "tests": runs,
    }


def measure(name: str, *, quick: bool) -> dict[str, Any]:
    """One measurement in a process of its own, with its verdict.

    Raises: RuntimeError when it did not end well
    """
    words = [sys.executable, "-m", "isthmus", "bench", name, "--json", *(["--quick"] if quick else [])]
    answer = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("{")]
    if answer.returncode or not lines:
        raise RuntimeError(f"{name} ended with code {answer.returncode}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def page(result: dict[str, Any]) -> str:
    """A result as a page for people."""
    m = result["machine"]
    verdict = "All budgets held." if result["ok"] else f"MISSED: {', '.join(result.get('missed', ['see the note']))}."
    lines = [
        f"# {result['name']}",
        "",
        f"{verdict} Measured on {result['date']} in {result['took_s']:.0f} s.",
        "",
        f"Machine: {m['cores']} cores, {m['memory_gib']} GiB, {m['system']} {m['architecture']}, Python {m['python']}.",
        f"Load average of the machine when it began: {result['busy_before']}.",
        "",
    ]
    lines += [f"{key.capitalize()}: {result[key]}.\n" for key in ("shortened", "note") if result.get(key)]
    if result["figures"]:
        lines += ["| figure | value | budget | held |", "|---|---:|---:|---|"]
    for figure, value in result["figures"].items():
        sign, bound = result["budget"].get(figure, ("", None))
        held = "" if bound is None else "no" if figure in result.get("missed", []) else "yes"
        lines.append(f"| {figure} | {value:,.3f} | {'' if bound is None else f'{sign} {bound:,g}'} | {held} |")
    if runs := result.get("tests", []):
        lines += ["| long test | outcome | s | figures |", "|---|---|---:|---|"]
    for one in runs:
        figures = ", ".join(f"{name} {value}" for name, value in one["figures"].items())
        lines.append(f"| {one['test']} | {one['outcome']} | {one['took_s']:.0f} | {figures} |")
    return "\n".join(lines).rstrip() + "\n"


def run(name: str, *, quick: bool) -> bool:
    """Run one part and write its proof; whether its budgets held."""
    print(f"{name} …", flush=True)
    before, began = busy(), time.monotonic()
    try:
        result = tests(name) if name in LONG_TESTS else measure(name, quick=quick)
    except RuntimeError as error:
        print(f"{name}: {error}; nothing is written", file=sys.stderr)
        return False
    result |= {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "took_s": round(time.monotonic() - began, 1),
        "machine": machine(),
        "busy_before": before,
    }
    PROOF.mkdir(parents=True, exist_ok=True)
    (PROOF / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (PROOF / f"{name}.md").write_text(page(result))
    print(f"{name}: {'ok' if result['ok'] else 'MISSED'}, {result['took_s']:.0f} s", flush=True)
    return bool(result["ok"])


def main() -> int:
    """The command."""
    known = parts()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"comma-separated, of: {', '.join(known)}", default=",".join(known))
    parser.add_argument("--quick", action="store_true", help="the short forms; leaves out the long tests")
    words = parser.parse_args()
    chosen = [name.strip() for name in words.only.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    if words.quick:
        chosen = [name for name in chosen if name not in LONG_TESTS]
    held = [run(name, quick=words.quick) for name in chosen]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
