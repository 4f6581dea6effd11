"""A package from outside the tree: built, installed beside Isthmus, found by its entry points, at work."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from isthmus.bus.broker import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PACKAGE = HERE / "isthmus-sine"

PLANT = """\
plant: {{enterprise: acme, site: lyon, timezone: UTC}}
connections:
  wave: {{driver: sine, period_s: 5, poll: 200 ms}}
connectors:
  file: {{connector: lines, path: {path}, linger: 100 ms, start: all}}
assets:
  hall/generator:
    source: wave
    tags:
      a: {{at: "0"}}
      b: {{at: "0.25"}}
"""


def run(*words: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed from its wheel, without any index."""
    folder = tmp_path_factory.mktemp("outside")
    source = folder / "source"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)  # a build leaves traces
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run(
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--target",
        str(folder / "site"),
        str(wheel),
        cwd=folder,
    )
    return folder / "site"


def environment(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT / 'src'}"}


def isthmus(installed: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "isthmus", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment(installed),
    )


def wait_for(port: int, running: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert running.poll() is None
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/api/v1/health", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError


def test_it_sees_values_and_ports_only() -> None:
    seen = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            seen |= {name for name in names if name.split(".")[0] == "isthmus"}
    assert seen
    assert {".".join(name.split(".")[:2]) for name in seen} == {"isthmus.values", "isthmus.ports"}


@pytest.mark.mission("M37", "M44", "M7")
@pytest.mark.real("pip", "hatchling")
def test_its_driver_and_connector_are_known_with_their_settings(installed: Path, tmp_path: Path) -> None:
    plant = tmp_path / "plant.yaml"
    plant.write_text(PLANT.format(path=tmp_path / "lines"))
    assert "good: 1 connections" in isthmus(installed, "check", plant).stdout
    plant.write_text(PLANT.format(path="lines").replace("period_s: 5", "period_s: 0, phases: 3").replace('"0.25"', "x"))
    refused = isthmus(installed, "check", plant)
    assert refused.returncode != 0
    said = refused.stdout + refused.stderr
    for words in (
        "no setting of driver sine",
        "must be more than 0",
        "path: must begin with /",
        "no address of driver sine",
    ):
        assert words in said


@pytest.mark.mission("M37", "M44", "M7", "M46")
@pytest.mark.real("pip", "hatchling", "nats-server", "chdb")
@pytest.mark.timeout(240)
def test_its_samples_arrive_and_go_out_again(installed: Path, tmp_path: Path) -> None:
    data, port, lines = tmp_path / "data", free_port(), tmp_path / "lines"
    plant = tmp_path / "plant.yaml"
    plant.write_text(PLANT.format(path=lines))
    log = (tmp_path / "log").open("w")
    running = subprocess.Popen(
        [sys.executable, "-m", "isthmus", "up", "--data", str(data), "--port", str(port)],
        stdout=log,
        stderr=log,
        env=environment(installed),
    )
    try:
        wait_for(port, running)
        applied = isthmus(installed, "apply", plant, "--data", data)
        assert "version 1 is current" in applied.stdout, applied.stdout + applied.stderr
        token = isthmus(installed, "token", "create", "--role", "viewer", "--data", data).stdout.strip()
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api/v1", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ) as api:
            deadline = time.monotonic() + 90
            sent, told = set(), {}
            while time.monotonic() < deadline and (len(sent) < 2 or told.get("state") != "Delivering"):
                assert running.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
                if lines.exists():
                    sent = {json.loads(line)[1] for line in lines.read_text().splitlines() if line.endswith("]")}
                try:
                    (told,) = api.get("/connectors").json()["connectors"] or ({},)
                except (httpx.HTTPError, ValueError, KeyError):
                    continue
            assert sent == {"hall/generator/a", "hall/generator/b"}, (tmp_path / "log").read_text()
            assert told["connector"] == "lines"
            assert told["delivered"] > 0
            values = {v["path"]: v for v in api.get("/tags/values?under=hall").json()["values"]}
            assert values["hall/generator/a"]["status"] == "Good"
            assert abs(values["hall/generator/a"]["value"]) <= 1
    finally:
        running.terminate()
        running.wait(30)
        log.close()
