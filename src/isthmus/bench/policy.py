"""What a decision of the policy costs: asked again, asked for the first time, over everything a plant has; and
how soon somebody whose rights were taken away is out (`revocation.py`).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from typing import Any

import numpy as np

from isthmus.bench import revocation
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import Asset, Conduit, Connection, OwnRole, Plant, Tag, Zone
from isthmus.security.model import Action, Principal, Proof, Role, Scope
from isthmus.security.policy import Policy, compile_policy
from isthmus.values.sample import ValueType

BUDGET: dict[str, tuple[str, float]] = {
    "decisions_per_s": (">=", 1_000_000.0),
    "decision_p99_us": ("<=", 1000.0),
    "first_decision_p99_us": ("<=", 1000.0),
    **revocation.BUDGET,
}
LINES = 20
PEOPLE = 40
HOT = 4_000
"""Decisions that are asked again and again; all of them, five times as many, no longer fit a processor's caches."""
ACTIONS = (Action.READ, Action.WRITE, Action.PLANT_CHANGE, Action.READ)


def plant(tags: int) -> Plant:
    """A plant of twenty lines, each a zone with a connection, conduits from an office, and roles of single lines."""
    lines = [f"hall/line{i}" for i in range(LINES)]
    return make_plant(
        version=1,
        enterprise="bench",
        site="bench",
        timezone="UTC",
        tags=tuple(
            Tag(i + 1, f"{lines[i % LINES]}/m{i:06d}/speed", f"{lines[i % LINES]}/m{i:06d}", "speed", "value", ValueType.FLOAT, connection=f"plc{i % LINES}")
            for i in range(tags)
        ),
        assets=tuple(Asset(line, line, "line", "", "hall", i) for i, line in enumerate(lines)),
        connections=tuple(Connection(f"plc{i}", "bench", "edge-1", f"line{i}", "read-write", "", 0) for i in range(LINES)),
        zones=(
            Zone("office", networks=("10.9.0.0/16",)),
            *(Zone(f"line{i}", networks=(f"10.1.{i}.0/24",)) for i in range(LINES)),
        ),
        conduits=(
            Conduit("in", "office", "site", ("read", "live", "history", "write", "change")),
            *(Conduit(f"c{i}", "office", f"line{i}", ("read", "live", "write")) for i in range(0, LINES, 2)),
            *(Conduit(f"s{i}", "site", f"line{i}", ("read", "live", "history", "write")) for i in range(LINES)),
        ),
        roles=tuple(OwnRole(f"crew{i}", extends=("operator",), under=(line,)) for i, line in enumerate(lines)),
    )  # fmt: skip


def people() -> list[Principal]:
    """Built-in and own roles, from the office and from this machine, some narrowed by a scope."""
    roles = (*(r.value for r in Role), *(f"crew{i}" for i in range(LINES)))
    sources = ("10.9.0.7", "127.0.0.1", "10.9.3.1", "127.0.0.1")
    scopes = (Scope(), Scope(under=("hall/line0", "hall/line2")), Scope(), Scope(sources=("10.9.0.0/16",)))
    return [
        Principal(f"p{i}", roles[i % len(roles)], Proof.TOKEN, f"k{i}", scope=scopes[i % 4], source=sources[i // 2 % 4])
        for i in range(PEOPLE)
    ]


def _again(policy: Policy, asked: list[tuple[Principal, Action, str]], seconds: float) -> float:
    """Decisions per CPU second when the same is asked again and again. The loop itself is not taken off."""
    decide = policy.decide
    for principal, action, path in asked:
        decide(principal, action, path)
    done, began = 0, time.process_time()
    while True:
        for principal, action, path in asked:
            decide(principal, action, path)
        done += len(asked)
        took = time.process_time() - began
        if took >= seconds:
            return done / took


def _each_us(policy: Policy, asked: list[tuple[Principal, Action, str]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What each single one takes. Units: us"""
    found = np.empty(len(asked))
    clock = time.perf_counter_ns
    for i, (principal, action, path) in enumerate(asked):
        began = clock()
        policy.decide(principal, action, path)
        found[i] = clock() - began
    return found / 1e3


def run(quick: bool = False) -> dict[str, Any]:
    """Figures against the budget."""
    tags = 10_000 if quick else 50_000
    made = plant(tags)
    began = time.process_time()
    policy = compile_policy(made)
    compiled_s = time.process_time() - began
    everyone = people()
    paths = [tag.path for tag in made.tags[:: max(1, tags // 500)]]
    asked = [
        (p, ACTIONS[(i + i // PEOPLE) % 4], path) for i, (path, p) in enumerate(itertools.product(paths, everyone))
    ]
    order = np.random.default_rng(1).permutation(len(asked)).tolist()
    asked = [asked[i] for i in order]
    gc.collect()
    first = _each_us(policy, asked)
    known = _each_us(policy, asked)
    seconds = 2.0 if quick else 10.0
    rate, rate_all = _again(policy, asked[:HOT], seconds), _again(policy, asked, seconds)
    narrowed = Principal("crew", "crew0", Proof.SESSION, "k", source="10.9.0.7")
    began = time.process_time()
    policy.prepare()
    prepare_s = time.process_time() - began
    began = time.process_time()
    seen = policy.sight(narrowed)
    sight_s = time.process_time() - began
    figures = {
        "tags": float(tags),
        "decisions": float(len(asked)),
        "allowed_percent": 100.0 * sum(policy.decide(*one).allowed for one in asked) / len(asked),
        "decisions_per_s": rate,
        "decisions_per_s_of_all": rate_all,
        "decision_p50_us": float(np.percentile(known, 50)),
        "decision_p99_us": float(np.percentile(known, 99)),
        "first_decision_p50_us": float(np.percentile(first, 50)),
        "first_decision_p99_us": float(np.percentile(first, 99)),
        "first_decisions_per_s": 1e6 / float(first.mean()),
        "compile_ms": compiled_s * 1e3,
        "prepare_ms": prepare_s * 1e3,
        "sight_first_ms": sight_s * 1e3,
        "sight_tags": 0.0 if seen is None else float(seen.sum()),
    }
    figures |= asyncio.run(revocation.measure(3 if quick else 20))
    answer: dict[str, Any] = {"figures": figures, "budget": BUDGET}
    if quick:
        answer["shortened"] = (
            "10,000 tags instead of 50,000, 2 s instead of 10 s, 3 revocations of each kind instead of 20"
        )
    return answer
