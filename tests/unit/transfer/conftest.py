"""The first CSV that Arrow reads opens a pipe for interrupts, which stays for good."""

from __future__ import annotations

import io

import pyarrow.csv as pcsv
import pytest


@pytest.fixture(scope="session", autouse=True)
def arrow_reads_csv():
    pcsv.read_csv(io.BytesIO(b"a\n1\n"))
