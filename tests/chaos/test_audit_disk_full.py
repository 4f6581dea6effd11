"""No room under the audit log: whatever would change something is refused with the reason, reading goes on, and it heals."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest

from isthmus.bench.system import System
from isthmus.security.audit.check import check_log

pytestmark = [pytest.mark.mission("M78"), pytest.mark.mission("M82"), pytest.mark.real("nats-server", "chdb")]


def change(system: System, token: str) -> tuple[int, dict]:
    """Ask for something that is audited; status and answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{system.port}/api/v1/plant/plan",
        json.dumps({"text": "plant: {enterprise: a, site: b}\n"}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.timeout(300)
async def test_changes_are_refused_reading_goes_on_and_it_heals(volume, until):
    if not volume.small:
        pytest.skip("needs a small volume of its own, which only root may mount")
    folder = volume.folder / "data"
    folder.mkdir()
    (folder / "isthmus.toml").write_text(f"[disk]\nreserve_mb = {volume.reserve_mb}\n")
    async with System(folder) as system:
        token = await asyncio.to_thread(system.token, "engineer")
        assert (await asyncio.to_thread(change, system, token))[0] == 200
        volume.fill(0)

        def refused():
            volume.fill(0)
            status, answer = change(system, token)
            return answer if status == 503 else None

        answer = await until(refused, "changes refused")
        assert answer["code"] == "audit_unavailable"
        assert "free some space" in answer["detail"] or "No space left" in answer["detail"]
        assert (await asyncio.to_thread(system.get, "site"))["historian"]
        volume.release()
        await until(lambda: change(system, token)[0] == 200, "changes taken again")
        assert (await asyncio.to_thread(system.call, "GET", "audit/verify"))["whole"]
    assert check_log(folder / "audit", folder / "records.db").problem is None
