"""Real gateways in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Gateway:
    """A mail server and an HTTP server, which can go and come back on the same ports."""

    folder: Path
    smtp: int = 0
    http: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("gateway.py"), self.folder, str(self.smtp), str(self.http)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.smtp, self.http = map(int, self.process.stdout.readline().split())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def took(self, what: str) -> list[dict[str, Any]]:
        file = self.folder / what
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def refuse(self, *, yes: bool) -> None:
        (self.folder / "mode").write_text("refuse" if yes else "")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    folder = tmp_path / "gateway"
    folder.mkdir()
    made = Gateway(folder)
    made.start()
    yield made
    made.stop()
