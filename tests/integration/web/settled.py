"""Outcomes are written after the answer: who reads the log waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson


async def settled(audit: Any) -> list[dict[str, Any]]:
    """All records of the log, once each intent has its outcome; after a few seconds those that are there."""
    for _ in range(300):
        await audit.intent({"proof": "system"}, "settle", "test")  # what waited is written now
        records = [orjson.loads(line) for _, data in audit.files.contents() for line in data.splitlines()]
        kept = [record for record in records if record.get("action") != "settle"]
        open_ = {one["id"] for one in kept if one["kind"] == "intent"} - {
            one["id"] for one in kept if one["kind"] == "outcome"
        }
        if not open_:
            break
        await asyncio.sleep(0.01)
    return kept
