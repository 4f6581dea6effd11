"""What a plant file says of scripts and rules: taken whole, or refused at its place."""

from __future__ import annotations

import pytest

from isthmus.namespace.compiled import Compiled
from isthmus.values.errors import Findings
from isthmus.values.model import EdgeModel

pytestmark = pytest.mark.mission("M64")

PLANT = """\
plant: {enterprise: acme, site: lyon}
connections:
  plc1: {driver: modbus-tcp, host: 127.0.0.1}
  plc2: {driver: modbus-tcp, host: 127.0.0.2, edge: edge-2}
types:
  pump:
    tags:
      speed: {unit: 1/min}
      temp: {unit: °C}
      on: {kind: switch}
      health: {unit: "%", python: {file: scripts/bearing.py, function: health, inputs: {speed: {tag: speed, unit: 1/s}, temp: temp}}}
      double: {unit: "%", formula: health * 2}
    rules:
      hot: {when: "mean(temp, 5 min) > 80 and on", for: 30 s, message: "{asset} hot"}
assets:
  a/p1: {type: pump, source: plc1, at: {speed: hr 0 float32, temp: hr 2 float32, on: co 0}}
  a/p2: {type: pump, source: plc1, at: {speed: hr 10 float32, temp: hr 12 float32, on: co 1}}
  b/p3: {type: pump, source: plc2, at: {speed: hr 10 float32, temp: hr 12 float32, on: co 1}}
rules:
  both: {when: "rate(a/p1/speed, 10 min) > 1 [1/min/s]"}
""".replace("rate(a/p1/speed", "rate({a/p1/speed}")
SCRIPT = b"def health(inputs, time_ns):\n    return inputs.speed.value\n\n\nasync def later(inputs, time_ns): ...\n"
FILES = {"scripts/bearing.py": SCRIPT}


def test_scripts_and_rules_travel_with_the_version(namespace, another) -> None:
    namespace.apply(PLANT, 0, "ann", "", FILES)
    tags = namespace.current().by_path
    model = EdgeModel.from_bytes(namespace.edge_model("edge-1").to_bytes())
    assert model.files == {"scripts/bearing.py": SCRIPT.decode()}
    first = next(s for s in model.scripts if s.id == tags["a/p1/health"].id)
    assert first.inputs == {
        "speed": (tags["a/p1/speed"].id, pytest.approx(1 / 60), 0.0),
        "temp": (tags["a/p1/temp"].id, 1.0, 0.0),
    }
    assert first.reason == tags["a/p1/health.reason"].id
    assert tags["a/p1/health"].formula == "python scripts/bearing.py: health"
    assert [len(namespace.edge_model(e).scripts) for e in ("edge-1", "edge-2")] == [2, 1]
    (hot, at), (_, everywhere) = namespace.current().rules
    assert (hot.name, hot.type, hot.hold_s) == ("hot", "pump", 30.0)
    assert [(i.asset, i.edge) for i in at] == [("a/p1", "edge-1"), ("a/p2", "edge-1"), ("b/p3", "edge-2")]
    assert at[1].inputs == {"mean(temp, 300 s)": tags["a/p2/temp"].id, "on": tags["a/p2/on"].id}
    assert everywhere[0].asset == ""
    parts = namespace.compiled().to_parts()
    assert Compiled.from_parts(parts).plant.rules == namespace.current().rules
    assert another().current().rules == namespace.current().rules


def test_a_changed_script_is_a_change_and_an_old_one_comes_back(namespace) -> None:
    namespace.apply(PLANT, 0, "ann", "", FILES)
    changed = {"scripts/bearing.py": SCRIPT.replace(b"speed", b"temp")}
    plan = namespace.plan(PLANT, 1, changed)
    assert [(c.action, c.what, c.path) for c in plan.changes] == [("change", "script", "scripts/bearing.py")]
    namespace.apply(PLANT, 1, "ann", "", changed)
    assert namespace.files() == changed
    assert namespace.files(1) == FILES
    namespace.restore(1, "ann", "back")
    assert namespace.edge_model("edge-1").files == {"scripts/bearing.py": SCRIPT.decode()}


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        ("function: health", "function: helth", "plant.yaml:11", "has no function of this name"),
        ("function: health", "function: later", "scripts/bearing.py:5:1", "may not be async"),
        ("function: health", "function: health, state: true", "scripts/bearing.py:1:1", "must take (inputs, time_ns, state)"),
        ("file: scripts/bearing.py", "file: scripts/gone.py", "plant.yaml:11", "no such file beside the plant file"),
        ("file: scripts/bearing.py", "file: ../bearing.py", "plant.yaml:11", "must be the name of a file beside"),
        ("file: scripts/bearing.py", "file: bearing.sh", "plant.yaml:11", "must be a Python file"),
        ("temp: temp}", "temp: tmp}", "plant.yaml:11", "names no tag beside it and no path of a tag; did you mean temp?"),
        ("unit: 1/s", "unit: bar", "plant.yaml:11", "bar"),
        ("temp: temp}", "temp: double}", "plant.yaml:12", "round in a circle"),
        ("function: health", "functions: health", "plant.yaml:11", "not known here"),
        ("inputs: {speed", "limit: {time: 2 h}, inputs: {speed", "plant.yaml:11", "must lie between 1 ms and 1 min"),
        ("inputs: {speed", "limit: {memory: lots}, inputs: {speed", "plant.yaml:11", "must lie between 64 MB and 16 GB"),
        ("inputs: {speed", "every: 1 ms, inputs: {speed", "plant.yaml:11", "must be on change, or a period"),
        ("python: {file", "formula: speed, python: {file", "plant.yaml:11", "one of them"),
        ("mean(temp, 5 min)", "mean(temp)", "plant.yaml:14", "mean takes 2 arguments"),
        ("mean(temp, 5 min)", "mean(temp, 7 min 3 s)", "plant.yaml:14", "expected )"),
        ("mean(temp, 5 min)", "mean(temp, 301 s)", "plant.yaml:14", "whole tens of seconds up to 1 h"),
        ("mean(temp, 5 min)", "mean(temp, 5 bar)", "plant.yaml:14", "mean takes a tag and a time"),
        ("mean(temp, 5 min)", "mean(tmp, 5 min)", "plant.yaml:14", "there is no tag"),
        ("mean(temp, 5 min) > 80", "mean(temp, 5 min) > 80 bar", "plant.yaml:14", "cannot compare degC with bar"),
        ("mean(temp, 5 min) > 80 and on", "mean(temp, 5 min)", "plant.yaml:14", "must be true or false"),
        ("for: 30 s", "for: 2 h", "plant.yaml:14", "must lie between 0 s and 1 h"),
        ("> 1 [1/min/s]", "> 1 [1/min/s] and {b/p3/on}", "plant.yaml:20", "a rule looks at one edge"),
        ("formula: health * 2", 'formula: "mean(health, 5 min)"', "plant.yaml:12", "mean looks over a time, which only rules can"),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_their_place(namespace, old: str, new: str, place: str, problem: str) -> None:
    assert old in PLANT
    with pytest.raises(Findings) as refused:
        namespace.plan(PLANT.replace(old, new), 0, FILES)
    assert any(str(f).startswith(place) and problem in str(f) for f in refused.value.findings), str(refused.value)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        (b"def health(inputs, time_ns:\n  return 1\n", "scripts/bearing.py:1", "is not Python"),
        (b"x = 1\nreturn x\n", "scripts/bearing.py:2", "is not Python: 'return' outside function"),
        (b"\xff\xfe", "scripts/bearing.py:1", "is not Python"),
        (b"x = " + b"(" * 5000 + b")" * 5000, "scripts/bearing.py:1", "is not Python"),
        (b"#" * 300_000, "plant.yaml:11", "larger than 200 kB"),
    ],
)
def test_a_script_that_is_none_is_refused_with_file_and_line(namespace, text: bytes, place: str, problem: str) -> None:
    with pytest.raises(Findings) as refused:
        namespace.plan(PLANT, 0, {"scripts/bearing.py": text})
    assert any(str(f).startswith(place) and problem in str(f) for f in refused.value.findings), str(refused.value)
