"""What people of the demo's hall have entered: products with routings, materials in stock, orders, readings, inspection plans.
All of it goes the way any client goes, over the API; a room that is not there is left out. What they did in its past is in `demo_past`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from isthmus.app.local import call
from isthmus.simulators.bottling.production import LINE
from isthmus.values.errors import Denied, Findings, TryLater

Ask = Callable[[str, str, dict[str, Any] | None], Any]
"""(method, path, body) to the running core."""

REASON: Final = "the demo's bottling hall"
FRESH: Final = timedelta(hours=8)
"""Stops younger than this keep waiting for a reason, so that the floor has something to do."""
LEFT_OUT: Final = 25
"""One stop in so many was never coded."""

SUPPLIER: Final = "Verrerie du Rhône"

MATERIALS: Final[Mapping[str, tuple[str, str, float]]] = {
    "bottle-075": ("Glass bottle 0.75 L", "pcs", 480_000),
    "cap-28": ("Screw cap 28 mm", "pcs", 900_000),
    "label-still": ("Label Still", "pcs", 400_000),
    "label-lemon": ("Label Lemon", "pcs", 300_000),
    "label-mint": ("Label Mint", "pcs", 300_000),
}
"""What is bought: name, unit, what lies in stock."""

UNIT_COSTS: Final[Mapping[str, str]] = {
    "bottle-075": "0.21",
    "cap-28": "0.018",
    "label-still": "0.011",
    "label-lemon": "0.013",
    "label-mint": "0.013",
}
"""What a unit of each costs."""
LABOUR_PER_H: Final = "34"
"""What an hour of somebody's work at the line costs."""

PRODUCTS: Final[Mapping[str, tuple[str, str]]] = {
    "still-075": ("Still 0.75 L glass", "label-still"),
    "lemon-075": ("Lemon 0.75 L glass", "label-lemon"),
    "mint-075": ("Mint 0.75 L glass", "label-mint"),
}
"""What is made: name and its label."""

ORDERS: Final = (
    ("still-075", 40_000, 8),
    ("lemon-075", 30_000, 16),
    ("mint-075", 24_000, 24),
    ("still-075", 60_000, 40),
)
"""Product, bottles, hours until it is due. The first one runs, the second one is released."""

POINTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "brix": {
        "name": "Sugar of the blend", "asset": "process/product", "unit": "°Bx", "decimals": 2,
        "lowest": "0", "low": "10.2", "high": "10.8", "highest": "20",
    },
    "chlorine": {
        "name": "Free chlorine of the water", "asset": "process/water", "unit": "mg/L", "decimals": 2,
        "lowest": "0", "low": "0.10", "high": "0.30", "highest": "5",
    },
}  # fmt: skip
"""What is read by hand once a shift."""

MEANS: Final = {"brix": (10.5, 0.09), "chlorine": (0.2, 0.025)}

PLANS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "id": "filling",
        "title": "Filling",
        "asset": f"{LINE}/filler",
        "characteristics": [
            {
                "id": "volume", "title": "Mean fill volume", "kind": "variable", "chart": "xbar_s", "unit": "ml",
                "decimals": 2, "size": 5, "target": 750, "lsl": 746, "usl": 754, "sampling": {"pieces": 5},
                "rules": ["nelson1", "nelson2"], "tag": f"{LINE}/filler/volume",
            },
            {
                "id": "look", "title": "Look of fifty bottles", "kind": "visual", "chart": "np", "size": 50,
                "allowed": 2, "sampling": {"every_s": 3600}, "faults": ["underfilled", "cap askew", "label askew", "scratched"],
                "instructions": "Take fifty bottles off the belt behind the labeller.",
            },
        ],
    },
    {
        "id": "closing",
        "title": "Closing",
        "asset": f"{LINE}/capper",
        "characteristics": [
            {
                "id": "torque", "title": "Closing torque", "kind": "variable", "chart": "imr", "unit": "N*m",
                "decimals": 3, "size": 1, "target": 1.85, "lsl": 1.6, "usl": 2.1, "sampling": {"every_s": 60},
                "rules": ["nelson1"], "tag": f"{LINE}/capper/torque", "severity": "major",
            },
            {
                "id": "opening", "title": "Opening torque by hand", "kind": "variable", "chart": "xbar_r", "unit": "N*m",
                "decimals": 2, "size": 5, "target": 1.6, "lsl": 1.4, "usl": 1.8, "sampling": {"every_s": 7200},
                "rules": ["nelson1", "nelson2"], "instructions": "Open five bottles behind the capper with the hand gauge.",
            },
        ],
    },
)  # fmt: skip
"""Inspection plans: two characteristics that tags measure, two that people check."""


def asker(data: Path) -> Ask:
    """Questions to the core of a data directory."""
    return lambda method, path, body: call(data, method, path, body)


def furnish(ask: Ask, log: logging.Logger, now: datetime | None = None, seed: int = 1) -> list[str]:
    """Enter what is not there yet; the names of what was entered. Repeating it changes nothing."""
    now = now or datetime.now(UTC)
    rooms: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("products and orders", lambda: _orders(ask, now)),
        ("readings", lambda: _readings(ask, now, seed)),
        ("inspection plans", lambda: _plans(ask)),
    )
    done = []
    for name, enter in rooms:
        try:
            if enter():
                done.append(name)
        except (Denied, Findings, TryLater) as error:  # the room is not there, or people made it their own
            log.info("the demo goes on without %s: %s", name, error)
    if done:
        log.info("the hall has %s", ", ".join(done))
    return done


def _orders(ask: Ask, now: datetime) -> bool:
    if ask("GET", "products", None)["products"]:
        return False
    for key, (name, unit, stock) in MATERIALS.items():
        ask("POST", "products", {"id": key, "name": name, "unit": unit, "cost": UNIT_COSTS[key], "reason": REASON})
        ask("POST", "lots", {"id": f"{key}-1", "product": key, "quantity": str(stock), "supplier": SUPPLIER})
    for key, (name, label) in PRODUCTS.items():
        ask("POST", "products", product_body(key, name, label))
    made = [
        ask("POST", "orders", {"product": key, "quantity": str(count), "due": _iso(now + timedelta(hours=hours))})
        for key, count, hours in ORDERS
    ]
    first, second = made[:2]
    first = ask("POST", f"orders/{first['id']}/release", {"base": first["rev"], "reason": REASON})
    ask("POST", f"orders/{second['id']}/release", {"base": second["rev"], "reason": REASON})
    ask("POST", f"orders/{first['id']}/start", {"base": first["rev"], "operation": 10, "asset": LINE})
    return True


def product_body(key: str, name: str, label: str) -> dict[str, Any]:
    """A product as the API takes it."""
    operation = {
        "number": 10,
        "name": "Fill, cap and label",
        "assets": [LINE],
        "counted": True,
        "ideal_count": 125,
        "ideal_s": 60,
        "setup_s": 300,
        "labour_per_h": LABOUR_PER_H,
        "steps": [
            {
                "key": "labels",
                "title": "Labels of this product are on both reels",
                "text": f"Compare the code on the reel with {label}.",
                "required": False,
            },
            {"key": "first", "title": "Look at the first ten bottles", "required": False},
        ],
    }
    parts = [{"material": m, "each": "1", "operation": 10} for m in ("bottle-075", "cap-28", label)]
    return {
        "id": key, "name": name, "operations": [operation], "components": parts, "over_percent": "5", "under_percent": "5",
        "reason": REASON,
    }  # fmt: skip


def _readings(ask: Ask, now: datetime, seed: int) -> bool:
    if ask("GET", "readings/points", None)["points"]:
        return False
    chance = np.random.default_rng(seed)
    for key, about in POINTS.items():
        ask("PUT", f"readings/points/{key}", dict(about))
        mean, spread = MEANS[key]
        for shift in range(21, 0, -1):
            value = f"{chance.normal(mean, spread):.2f}"
            at = _iso(now - timedelta(hours=8 * shift))
            ask("POST", "readings", {"point": key, "value": value, "at": at, "comment": "round of the shift"})
    return True


def _plans(ask: Ask) -> bool:
    if ask("GET", "quality/plans", None)["plans"]:
        return False
    for plan in PLANS:
        ask("POST", "quality/plans", {**plan, "base": 0, "reason": REASON})
    return True


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
