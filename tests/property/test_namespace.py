"""Whatever is edited in whatever order: export gives back the text, plans are empty after applying, ids stay true."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.app.records import open_records
from isthmus.namespace import store
from isthmus.namespace.address import fill
from isthmus.namespace.compile import compile_plant
from isthmus.namespace.compiled import Compiled
from isthmus.namespace.edit import add_connection, flow
from isthmus.namespace.plantfile import Document, plain_data, plain_scalar
from isthmus.namespace.service import Namespace
from isthmus.namespace.store import metadata
from isthmus.ports.drivers import Address, DriverSpec
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Findings
from isthmus.values.sample import ValueType


@dataclass(frozen=True)
class Settings:
    host: str = ""


def parse_address(text: str) -> Address:
    if not text.isdecimal():
        raise ConfigError(f"an address is a number, was {text!r}")
    return Address(ValueType.INT, "hr", int(text), int(text) + 1)


SPEC = DriverSpec("modbus-tcp", Settings, lambda *_: None, parse_address)
HEAD = "plant: {enterprise: a, site: b}\nconnections:\n  plc: {driver: modbus-tcp, host: h}\n"
NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.builds("{}/{}".format, NAMES, NAMES)


@pytest.fixture
def open_namespace(tmp_path):
    engines = []

    def open_one() -> Namespace:
        engine = open_records(Path(tempfile.mkdtemp(dir=tmp_path)) / "records.sqlite")
        engines.append(engine)
        metadata.create_all(engine)
        return Namespace(engine, ManualClock(), lambda _: SPEC, lambda: {"modbus-tcp": SPEC})

    yield open_one
    for engine in engines:
        engine.dispose()


def text_of(tags: dict[str, int], renamed: dict[str, str], comment: str) -> str:
    """A plant with these tags; the number of each is its address."""
    lines = [HEAD, f"# {comment}\n", "assets:\n"]
    for asset in sorted({path.rpartition("/")[0] for path in tags}):
        own = ", ".join(f"{p.rpartition('/')[2]}: {{at: '{n}'}}" for p, n in tags.items() if p.startswith(asset + "/"))
        lines.append(f"  {asset}: {{source: plc, tags: {{{own}}}}}\n")
    if renamed:
        lines.append("renamed: {" + ", ".join(f"{old}: {new}" for old, new in renamed.items()) + "}\n")
    return "".join(lines)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), PATHS),
        st.tuples(st.just("remove"), st.integers(0, 99)),
        st.tuples(st.just("rename"), st.integers(0, 99), PATHS),
        st.tuples(st.just("restore"), st.integers(0, 99)),
    ),
    max_size=8,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_ids_stay_with_their_tags_whatever_is_edited(open_namespace, steps):
    namespace = open_namespace()
    number_of: dict[str, int] = {}  # what a person means: which machine signal is at which path
    next_number = 0
    last_path: dict[int, str] = {}
    live: set[int] = set()
    id_of_number: dict[int, int] = {}
    kept: dict[int, tuple[str, dict[str, int]]] = {}
    for step in [("add", "a/a"), *steps]:
        renamed: dict[str, str] = {}
        expected: set[int] = set()
        base = namespace.current().version
        if step[0] == "restore":
            if not kept:
                continue
            wanted = sorted(kept)[step[1] % len(kept)]
            version = namespace.restore(wanted, "me", "back")
            text, number_of = kept[wanted][0], dict(kept[wanted][1])
        else:
            if step[0] == "add":
                if step[1] in number_of:
                    continue
                # a path whose last tag is retired takes up its history again; any other one begins a new one
                retired = {i for i, p in last_path.items() if p == step[1] and i not in live}
                expected = retired or {max(last_path, default=0) + 1}
                number_of = {**number_of, step[1]: next_number}
                next_number += 1
            elif not number_of:
                continue
            elif step[0] == "remove":
                number_of = {p: n for i, (p, n) in enumerate(number_of.items()) if i != step[1] % len(number_of)}
            else:
                old_path = list(number_of)[step[1] % len(number_of)]
                if step[2] in number_of:
                    continue
                renamed = {old_path: step[2]}
                number_of = {step[2] if p == old_path else p: n for p, n in number_of.items()}
            text = text_of(number_of, renamed, f"step {base}")
            plan = namespace.plan(text, base)
            assert ("rename" in [c.action for c in plan.changes]) == bool(renamed)
            version = namespace.apply(text, base, "me", "")
        kept[version] = (text, dict(number_of))
        assert namespace.export() == text
        assert namespace.plan(text).changes == ()
        found = {t.path: t.id for t in namespace.current().tags if t.kind != "system"}
        assert set(found) == set(number_of)
        assert len(set(found.values())) == len(found)
        if expected:
            assert found[step[1]] in expected
        everything = {t.path: t.id for t in namespace.current().tags}
        last_path.update({i: p for p, i in everything.items()})
        live = set(everything.values())
        for path, number in number_of.items():
            # one signal has one id for ever, whatever its path is now
            assert id_of_number.setdefault(number, found[path]) == found[path]
        assert Compiled.from_parts(namespace.compiled().to_parts()) == namespace.compiled()
    for version, (_, tags) in kept.items():
        assert namespace.compare(version, version) == ()
        with namespace._engine.begin() as connection:
            then = {p: i for p, i in store.ids_at(connection, version).items() if not p.startswith("connections/")}
        assert then == {path: id_of_number[number] for path, number in tags.items()}


WORDS = [
    *"abc-[]{},#'\"|>&*!%@`?~\n\t\0\rés\ufeff\x85",
    "b:",
    "1",
    "1.5",
    "null",
    "<<:",
    "on",
    "1:30",
    "plant",
    "assets:",
]
GARBAGE = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*WORDS, "\n", "\n  ", ": ", "plant: {enterprise: a, site: b}\n"]), max_size=40).map(
        "".join
    ),
)


@settings(max_examples=150, deadline=None)
@given(text=GARBAGE)
def test_any_text_is_taken_or_refused_with_findings(text):
    with suppress(Findings):  # anything else that is raised fails the test
        plain_data(Document(text, "plant.yaml").root)


@settings(max_examples=80, deadline=None)
@given(cut=st.integers(0, 400), put=st.sampled_from([*WORDS, "", "\n"]), keep=st.integers(0, 30))
def test_a_damaged_plant_is_taken_or_refused_with_findings(cut, put, keep):
    text = text_of({"a/b": 1, "a/c": 2, "d/d": 3}, {"x/y": "a/b"}, "damaged")
    text = text[:cut] + put + text[cut + keep :]
    with suppress(Findings):
        compile_plant(Document(text, "plant.yaml"), {}.get, lambda _: SPEC)


SCALARS = st.one_of(st.text(max_size=20), st.integers(-(2**40), 2**40), st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
)


@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_what_is_written_in_flow_style_is_read_back(value):
    assert plain_data(Document(f"x: {flow(value)}\n", "x").root) == {"x": value}


@settings(max_examples=100, deadline=None)
@given(
    settings_=st.dictionaries(st.sampled_from(["host", "note", "x y", "on"]), SCALARS, max_size=4),
    extra=st.sampled_from(["", "# c\n", "  # c\n", "\n\n", "assets: {}\n", "\t\n"]),
)
def test_adding_a_connection_changes_nothing_else(settings_, extra):
    text = HEAD + extra
    try:
        after = add_connection(text, "new", settings_)
    except (ConfigError, Findings):
        return
    at = after.index("  new: ")
    line = after[at : after.index("\n", at) + 1]
    assert after.replace(line, "") == text


@given(
    numbers=st.lists(st.integers(0, 1000), min_size=1, max_size=6),
    signs=st.lists(st.sampled_from("+-*"), min_size=5, max_size=5),
)
def test_templates_compute_like_anybody_else(numbers, signs):
    names = {f"n{i}": n for i, n in enumerate(numbers)}
    text = "n0" + "".join(f" {signs[i]}n{i + 1}" for i in range(len(numbers) - 1))
    plain = str(numbers[0]) + "".join(f"{signs[i]}{numbers[i + 1]}" for i in range(len(numbers) - 1))
    assert fill(f"hr {{{text}}} x", names) == f"hr {eval(plain)} x"


def test_scalars_are_those_of_yaml_1_2():
    same = ["on", "off", "yes", "no", "1:30", "2024-01-01", "1_000", "0b1", "0777x", "1e", ".", "-", "+", "1.2.3"]
    assert [plain_scalar(t) for t in same] == same
    assert [plain_scalar(t) for t in ["010", "0o10", "0x1F", "1e3", "-.5", "5.", "true", "null", ""]] == [
        10, 8, 31, 1000.0, -0.5, 5.0, True, None, None,
    ]  # fmt: skip
