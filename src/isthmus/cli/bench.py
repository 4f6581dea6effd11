"""`isthmus bench NAME`: measures this machine against the budgets."""

from __future__ import annotations

import importlib
import json
import operator
import sys
from typing import Annotated, Any

import typer

from isthmus.cli.options import Json
from isthmus.values.errors import ConfigError

NAMES = (
    "acquisition",
    "hotpath",
    "bus",
    "historian",
    "latency",
    "plant",
    "crash",
    "buffer",
    "drain",
    "rest",
    "backup",
    "transfer",
    "drivers",
    "policy",
    "audit",
    "alarms",
    "control",
    "trips",
    "oee",
)
_COMPARE = {"<=": operator.le, ">=": operator.ge}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def verdict(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """A measurement with its judgement: each budgeted figure is held against its bound."""
    figures, budget = result["figures"], result["budget"]
    missed = [k for k, (sign, bound) in budget.items() if k in figures and not _COMPARE[sign](figures[k], bound)]
    answer = {"name": name, "figures": figures, "budget": budget, "ok": not missed}
    if missed:
        answer["missed"] = missed
    return answer | {k: v for k, v in result.items() if k not in ("figures", "budget")}


def bench(
    name: Annotated[str, typer.Argument(help=" | ".join(NAMES))],
    as_json: Json = False,
    quick: Annotated[bool, typer.Option(help="End within 40 s; says what it shortened.")] = False,
) -> None:
    """Measure one path and hold it against its budget."""
    if name not in NAMES:
        raise ConfigError(f"bench: unknown, known are {', '.join(NAMES)}, was {name!r}")
    answer = verdict(name, importlib.import_module(f"isthmus.bench.{name}").run(quick=quick))
    if as_json:
        print(json.dumps(answer))
        return
    for figure, value in answer["figures"].items():
        bound = answer["budget"].get(figure)
        mark = (
            ""
            if bound is None
            else f"   {'ok' if figure not in answer.get('missed', []) else 'MISSED'}: {bound[0]} {bound[1]}"
        )
        print(f"{figure:<40} {value:>14,.3f}{mark}")
    for key in ("shortened", "note"):
        if key in answer:
            print(answer[key], file=sys.stderr)
