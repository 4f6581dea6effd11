"""What drivers cost the edge, each against a peer in a process of its own; one module a protocol."""

from __future__ import annotations

from typing import Any

import uvloop

from isthmus.bench import mqtt, opcua

PROTOCOLS = (opcua, mqtt)
"""Modules with ``BUDGET`` and ``async measure(*, quick)``, which answers figures by name."""


async def _measure(*, quick: bool) -> dict[str, float]:
    figures: dict[str, float] = {}
    for protocol in PROTOCOLS:
        figures |= await protocol.measure(quick=quick)
    return figures


def run(*, quick: bool) -> dict[str, Any]:
    """All protocols, one after the other."""
    budget = {name: bound for protocol in PROTOCOLS for name, bound in protocol.BUDGET.items()}
    result: dict[str, Any] = {"figures": uvloop.run(_measure(quick=quick)), "budget": budget}
    if quick:
        result["shortened"] = "a third of the time for each figure"
    return result
