"""The audit trail of a whole Isthmus by its commands: changed offline and online, killed, backed up, restored, checked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.app.backup import make_backup
from isthmus.app.datadir import DataDir
from isthmus.app.restore import restore_backup
from isthmus.bench.system import System
from isthmus.cli.main import command_line
from isthmus.values.errors import IsthmusError

pytestmark = [pytest.mark.mission("M78"), pytest.mark.mission("M4"), pytest.mark.real("nats-server", "chdb", "sqlite")]
PLANT = "plant: {enterprise: acme, site: lyon, timezone: Europe/Paris}\n"


def command(data: Path, *words: str, given: str = "") -> tuple[int, str]:
    """`isthmus WORDS --data DATA`: exit code and what was printed."""
    done = CliRunner().invoke(command_line(), [*words, "--data", str(data)], input=given)
    if isinstance(done.exception, IsthmusError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


async def do(data: Path, *words: str, given: str = "") -> tuple[int, str]:
    return await asyncio.to_thread(command, data, *words, given=given)


@pytest.mark.timeout(240)
async def test_the_chain_goes_on_through_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert (await do(data, "audit", "verify"))[0] == 2  # there is none yet
    assert await do(data, "secret", "set", "press-7", given="hush-hush-1\n") == (0, "")
    code, said = await do(data, "audit", "verify")
    assert (code, "whole" in said) == (0, True), said
    async with System(data) as system:
        assert (await asyncio.to_thread(system.apply, PLANT, "the first plant")) == 1
        assert await do(data, "secret", "set", "press-8", given="hush-hush-2\n") == (0, "")
        code, said = await do(data, "audit", "show", "--action", "secret", "--json")
        shown = json.loads(said)["records"]
        assert [(r["kind"], r["target"]) for r in shown] == [
            ("outcome", "press-8"), ("intent", "press-8"), ("outcome", "press-7"), ("intent", "press-7"),
        ]  # fmt: skip
        assert {r["who"]["proof"] for r in shown} == {"socket"}
        assert all(r["who"]["name"] for r in shown)
        code, said = await do(data, "audit", "show", "--text", "the first plant")
        assert "POST plant/apply" in said
        assert (await do(data, "audit", "export", str(tmp_path / "export.jsonl")))[0] == 0
        assert (await do(data, "audit", "verify"))[0] == 0  # beside the living log
        await asyncio.to_thread(make_backup, DataDir(data), tmp_path / "b.isb")
        await system.kill_all()
    assert (await do(data, "secret", "remove", "press-8"))[0] == 0
    assert (await do(data, "audit", "verify"))[0] == 0
    key = str(data / "audit" / "public.pem")
    assert (await do(data, "audit", "verify", str(tmp_path / "export.jsonl"), "--key", key))[0] == 0

    await asyncio.to_thread(restore_backup, tmp_path / "b.isb", DataDir(tmp_path / "new"))
    async with System(tmp_path / "new") as again:
        found = await asyncio.to_thread(again.call, "GET", "audit?action=audit.open&limit=1")
        assert "from the backup made at" in found["records"][0]["new"]["restored"]
        assert (await asyncio.to_thread(again.call, "GET", "audit/verify"))["whole"]
    code, said = await do(tmp_path / "new", "audit", "verify", "--against", str(tmp_path / "export.jsonl"))
    assert code == 2  # an export is no forwarded copy
    records = (tmp_path / "export.jsonl").read_bytes().splitlines(keepends=True)[1:-1]
    (tmp_path / "copy.jsonl").write_bytes(b"".join(records))
    assert (await do(tmp_path / "new", "audit", "verify", "--against", str(tmp_path / "copy.jsonl")))[0] == 0

    everything = b"".join(p.read_bytes() for p in (data / "audit").rglob("*") if p.is_file())
    assert b"hush-hush" not in everything
    (segment, *_) = sorted((data / "audit").glob("segment-*"))
    segment.write_bytes(segment.read_bytes().replace(b"press-7", b"press-9", 1))
    code, said = await do(data, "audit", "verify")
    assert (code, "NOT whole" in said, "was edited" in said) == (1, True, True)
    exported = tmp_path / "export.jsonl"
    exported.write_bytes(exported.read_bytes().replace(b"press-7", b"press-9", 1))
    code, said = await do(data, "audit", "verify", str(exported), "--json")
    assert (code, json.loads(said)["whole"]) == (1, False)
