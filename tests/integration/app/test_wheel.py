from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.real("pip", "hatchling")
@pytest.mark.timeout(300)
def test_the_built_wheel_holds_everything_and_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "isthmus/web/static/index.html",
        "isthmus/app/migrations/versions/0001_spine.py",
        "isthmus/py.typed",
        "isthmus/sbom.cdx.json",
        "isthmus/simulators/bottling/maps.py",
    ):
        assert wanted in names
    assert not [n for n in names if n.startswith(("tests/", "ui/"))]
    target = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(target)
    plant = tmp_path / "plant.yaml"
    plant.write_text("plant: {enterprise: a, site: s, timezone: UTC}\n")
    ran = subprocess.run(
        [sys.executable, "-m", "isthmus", "check", str(plant)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert ran.returncode == 0, ran.stderr
    assert "good: 0 connections" in ran.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import isthmus; print(isthmus.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert str(target) in where.stdout
