"""Every mistake names the file, the line, the path and the value."""

from __future__ import annotations

import pytest

from isthmus.namespace.plantfile import MAX_FILE_BYTES
from isthmus.values.errors import Findings

PLANT = "plant: {enterprise: acme, site: lyon}\n"
PLC = "connections:\n  plc1: {driver: modbus-tcp, host: 10.0.0.1}\n"
HEAD = PLANT + PLC  # three lines
TWO = PLANT + (
    "connections:\n  plc1: {driver: modbus-tcp, host: a}\n  plc2: {driver: modbus-tcp, host: b, edge: edge-2}\n"
)  # four lines


def asset(tags: str) -> str:
    """An asset with tags of its own; its tags are in line 5."""
    return HEAD + f"assets:\n  a/b: {{source: plc1, tags: {{{tags}}}}}\n"


CASES = {
    "empty": ("", ["plant.yaml:1:1", "is empty"]),
    "a list": ("- 1\n", ["plant.yaml:1:1", "must be a mapping with the sections plant"]),
    "no plant": (PLC, ["plant.yaml:1:1", "plant is missing"]),
    "site missing": ("plant: {enterprise: acme}\n", ["plant.yaml:1:1", "plant: site is missing"]),
    "unknown section": (PLANT + "asets: {}\n", ["plant.yaml:2:1", "asets", "did you mean assets?"]),
    "wrong key": (asset("t: {adress: hr 0}"), ["plant.yaml:5:", "assets.a/b.tags.t.adress", "known are"]),
    "wrong key near": (asset("t: {at: hr 0, desription: x}"), ["plant.yaml:5:", "did you mean description?"]),
    "wrong type": (
        asset("t: {at: hr 0, decimals: many}"),
        ["plant.yaml:5:", "decimals: must be a whole number, was many"],
    ),
    "truth as number": (asset("t: {at: hr 0, decimals: true}"), ["decimals: must be a whole number, was true"]),
    "infinite": (asset("t: {at: hr 0, range: [0, .inf]}"), ["range.1: must be a number, was .inf"]),
    "wrong unit": (asset("t: {at: hr 0, unit: furlongz}"), ["plant.yaml:5:", "tags.t.unit", "was furlongz"]),
    "wrong kind": (asset("t: {at: hr 0, kind: countr}"), ["plant.yaml:5:", "did you mean counter?, was countr"]),
    "range turned": (asset("t: {at: hr 0, range: [9, 1]}"), ["plant.yaml:5:", "range: low must be below high"]),
    "range of three": (asset("t: {at: hr 0, range: [1, 2, 3]}"), ["range: must be a list of 2"]),
    "scale of nothing": (asset("t: {at: hr 0, scale: {raw: [5, 5], eu: [0, 1]}}"), ["the two raw values must differ"]),
    "deadband": (asset("t: {at: hr 0, deadband: 5 bar}"), ["plant.yaml:5:", "deadband", "was 5 bar"]),
    "duration without unit": (asset("t: {at: hr 0, every: 5}"), ["every: a duration needs its unit", "was 5"]),
    "period too short": (asset("t: {at: hr 0, every: 1 ms}"), ["every: a period must lie between", "was 1 ms"]),
    "limits crossed": (
        asset("t: {at: hr 0, alarms: {high: 5, high_high: 4}}"),
        ["plant.yaml:5:", "alarms.high_high: must be above high (5)", "was 4"],
    ),
    "alarm on a state": (
        asset("t: {at: hr 0, kind: state, alarms: {high: 5}}"),
        ["t.alarms.high: a tag of kind state has no alarms of this kind: high"],
    ),
    "state of a value": (
        asset("t: {at: hr 0, alarms: {states: {On: low}}}"),
        ["value has no alarms of this kind: states"],
    ),
    "no such state": (
        asset("t: {at: hr 0, map: {0: Off, 1: On}, alarms: {states: {Onn: low}}}"),
        ["t.alarms.states.Onn: no such state; did you mean On?", "was Onn"],
    ),
    "deviation from nothing": (
        asset("t: {at: hr 0, alarms: {deviation: 5}}"),
        ["t.alarms.deviation: needs from, or a setpoint of the tag, to deviate from"],
    ),
    "deviation from an unknown tag": (
        asset("t: {at: hr 0, alarms: {deviation: {limit: 5, from: sp}}}"),
        ["t.alarms.deviation.from: names no tag beside it", "was sp"],
    ),
    "deviation in another unit": (
        asset("sp: {at: hr 4, unit: °C}, t: {at: hr 0, unit: bar, alarms: {deviation: {limit: 5, from: sp}}}"),
        ["t.alarms.deviation.from: a/b/sp has another unit", "was sp"],
    ),
    "suppressed by an unknown tag": (
        asset("t: {at: hr 0, alarms: {high: {limit: 5, suppress_when: not rn}}}"),
        ["t.alarms.high.suppress_when: ", "there is no tag rn"],
    ),
    "suppressed by an unknown alarm": (
        asset("t: {at: hr 0, alarms: {high: {limit: 5, suppress_when: '{t#low}'}}}"),
        ["t.alarms.high.suppress_when: there is no alarm t#low"],
    ),
    "alarms suppress each other": (
        asset(
            "t: {at: hr 0, alarms: {high: {limit: 5, suppress_when: '{t#low}'}, "
            "low: {limit: 1, suppress_when: '{t#high}'}}}"
        ),
        ["suppress_when: alarms wait for each other in a circle: a/b/t#high → a/b/t#low → a/b/t#high"],
    ),
    "an alarm that is a number": (
        asset("t: {at: hr 0}") + "alarms: {x: {when: '{a/b/t} + 1'}}\n",
        ["alarms.x.when: must be true or false"],
    ),
    "an alarm that reads nothing": (PLANT + "alarms: {x: {when: 1 > 2}}\n", ["alarms.x.when: reads no tag"]),
    "an alarm in the wrong unit": (
        asset("t: {at: hr 0, unit: bar}") + "alarms: {x: {when: '{a/b/t} > 5 °C'}}\n",
        ["alarms.x.when: ", "cannot compare bar with degC (in #x)"],
    ),
    "two priorities": (
        asset(
            "t: {at: hr 0, alarms: {high: {limit: 5, priority: low, consequence_class: minor, response_time: 5 min}}}"
        ),
        ["t.alarms.high.priority: say it, or consequence_class and response_time"],
    ),
    "consequence without time": (
        asset("t: {at: hr 0, alarms: {high: {limit: 5, consequence_class: minor}}}"),
        ["t.alarms.high.consequence_class: needs response_time"],
    ),
    "a delay of days": (asset("t: {at: hr 0, alarms: {high: {limit: 5, on_delay: 3 d}}}"), ["high.on_delay: must lie"]),
    "a rate over no time": (asset("t: {at: hr 0, alarms: {rate: {limit: 5, over: 100 ms}}}"), ["rate.over: must lie"]),
    "read and calculated": (asset("t: {at: hr 0, formula: 1 + 1}"), ["formula: a tag is read (at) or calculated"]),
    "retention": (asset("t: {at: hr 0, retention: lng}"), ["plant.yaml:5:", "no class of history", "was lng"]),
    "history": (PLANT + "history: {long: 36 h}\n", ["plant.yaml:2:17", "history.long: must be whole days", "was 36 h"]),
    "unknown driver": (
        PLANT + "connections:\n  x: {driver: modbus, host: a}\n",
        ["plant.yaml:3:15", "connections.x.driver", "known are modbus-tcp", "was modbus"],
    ),
    "driver missing": (
        PLANT + "connections:\n  x: {host: a}\n",
        ["plant.yaml:3:3", "connections.x: driver is missing"],
    ),
    "setting of no driver": (
        PLANT + "connections:\n  x: {driver: modbus-tcp, host: a, prot: 5}\n",
        ["plant.yaml:3:", "connections.x.prot: no setting of driver modbus-tcp; did you mean port?"],
    ),
    "setting of wrong type": (
        PLANT + "connections:\n  x: {driver: modbus-tcp, host: a, port: five}\n",
        ["plant.yaml:3:", "connections.x.port: must be a whole number, was five"],
    ),
    "setting out of range": (
        PLANT + "connections:\n  x: {driver: modbus-tcp, host: a, port: 70000}\n",
        ["plant.yaml:3:42", "connections.x.port: must lie between 1 and 65535, was 70000"],
    ),
    "setting missing": (
        PLANT + "connections:\n  x: {driver: modbus-tcp}\n",
        ["plant.yaml:3:3", "connections.x: host is missing"],
    ),
    "connection name": (
        PLANT + "connections:\n  plc/1: {driver: modbus-tcp, host: a}\n",
        ["plant.yaml:3:3", "must begin with a letter", "was plc/1"],
    ),
    "timezone": ("plant: {enterprise: a, site: b, timezone: Europe/Lyon}\n", ["plant.yaml:1:43", "was Europe/Lyon"]),
    "unknown type": (HEAD + "assets:\n  a/b: {type: fillr}\n", ["plant.yaml:5:15", "no such type", "was fillr"]),
    "unknown connection": (
        HEAD + "assets:\n  a/b: {source: plc2}\n",
        ["plant.yaml:5:17", "no such connection; did you mean plc1?", "was plc2"],
    ),
    "unknown tag": (
        HEAD + "types: {m: {tags: {speed: {}}}}\nassets:\n  a/b: {type: m, source: plc1, at: {sped: hr 0}}\n",
        ["plant.yaml:6:37", "assets.a/b.at.sped", "did you mean speed?"],
    ),
    "bad address": (
        asset("t: {at: hr 70000}"),
        ["plant.yaml:5:", "assets.a/b.tags.t.at", "register must be at most 65535", "was hr 70000"],
    ),
    "address without connection": (
        PLANT + "assets:\n  a/b: {tags: {t: {at: hr 0}}}\n",
        ["plant.yaml:3:", "an address needs a connection: source is missing", "was hr 0"],
    ),
    "template": (
        asset("t: {at: 'hr {base+2}'}"),
        ["plant.yaml:5:", "{base+2}: base is not among the asset's `with`", "was hr {base+2}"],
    ),
    "overlap": (
        asset("x: {at: hr 2 float32}, y: {at: hr 3}"),
        ["plant.yaml:5:", "assets.a/b.tags.y.at: a/b/y overlaps with a/b/x", "hr 2 float32", "was hr 3"],
    ),
    "state with decimals": (asset("t: {at: hr 0 float32, kind: state}"), ["a state is a whole number", "hr 0 float32"]),
    "text as number": (asset("t: {at: hr 0 string4, kind: counter}"), ["kind counter", "type text", "hr 0 string4"]),
    "cycle": (
        asset("p: {formula: q + 1}, q: {formula: r * 2}, r: {formula: p}"),
        ["plant.yaml:5:", "formulas go round in a circle: a/b/p → a/b/q → a/b/r → a/b/p", "was q + 1"],
    ),
    "itself": (asset("p: {formula: p + 1}"), ["circle: a/b/p → a/b/p"]),
    "formula of nothing": (
        asset("speed: {at: hr 0}, t: {formula: sped * 2}"),
        ["plant.yaml:5:", "tags.t.formula", "there is no tag sped: did you mean speed?", "was sped * 2"],
    ),
    "formula syntax": (asset("t: {formula: 1 +}"), ["plant.yaml:5:", "tags.t.formula: column 4", "was 1 +"]),
    "formula unit": (
        asset("p: {at: hr 0, unit: bar}, t: {formula: p, unit: °C}"),
        ["tags.t.formula", "the result is in bar, which cannot be told in °C"],
    ),
    "formula over two edges": (
        TWO + "assets:\n  a/b: {source: plc1, tags: {p: {at: hr 0}}}\n"
        "  a/c: {source: plc2, tags: {q: {at: hr 0}, s: {formula: 'q + {a/b/p}'}}}\n",
        ["plant.yaml:7:", "assets.a/c.tags.s.formula", "a/b/p (edge edge-1) and a/c/q (edge edge-2)", "one edge"],
    ),
    "setpoint": (asset("t: {at: hr 0, setpoint: nothing}"), ["plant.yaml:5:", "setpoint names no tag", "was nothing"]),
    "production": (
        PLANT + "types:\n  m: {tags: {s: {}}, production: {state: st}}\n",
        ["plant.yaml:3:42", "types.m.production.state", "no such tag", "was st"],
    ),
    "circle of types": (PLANT + "types:\n  a: {extends: b}\n  b: {extends: a}\n", ["circle: a → b → a"]),
    "same path": (
        HEAD + "assets:\n  a/b: {source: plc1, tags: {c: {at: hr 0}}}\n  a/b/c: {tags: {t: {formula: '1'}}}\n",
        ["plant.yaml:5:", "is a tag and an asset at the same time"],
    ),
    "reserved": (PLANT + "assets:\n  connections/x: {}\n", ["plant.yaml:3:3", "kept for the diagnostics"]),
    "bad path": (PLANT + "assets:\n  a//b: {}\n", ["plant.yaml:3:3", "path segment", "was a//b"]),
    "renamed to nothing": (PLANT + "renamed: {a/b: a/c}\n", ["plant.yaml:2:16", "no tag, asset or connection", "a/c"]),
    "duplicate key": (
        HEAD + "  plc1: {driver: modbus-tcp, host: b}\n",
        ["plant.yaml:4:3", "connections.plc1: this key stands here twice, first in line 3"],
    ),
    "tab": (PLANT + "connections:\n\tplc1: {}\n", ["plant.yaml:3:1", "a tab in front of a value; indent with spaces"]),
    "bracket": (PLANT + "history: {long: 1 y\n", ["plant.yaml:", "is not YAML"]),
    "control character": (PLANT + "history: \x07\n", ["plant.yaml:2:10", "U+0007"]),
    "surrogate": (PLANT + "history: \ud800\n", ["plant.yaml:2:10", "not a character of Unicode", "U+D800"]),
    "two documents": (PLANT + "---\na: 1\n", ["plant.yaml:2:1", "one document"]),
    "yaml tag": (PLANT + "history: !!python/none x\n", ["plant.yaml:2:", "YAML tags are not used here"]),
    "merge key": (PLANT + "history: {<<: {a: 1 d}}\n", ["plant.yaml:2:", "merge keys are no part of YAML 1.2"]),
    "key of a list": (PLANT + "? [a]\n: 1\n", ["plant.yaml:2:", "a key must be a plain text"]),
    "unknown alias": (PLANT + "history: *h\n", ["plant.yaml:2:10", "no anchor", "*h"]),
    "no such file": (PLANT + "tag_files: [tags.csv]\n", ["plant.yaml:2:13", "no such file", "tags.csv"]),
    "file elsewhere": (
        PLANT + "tag_files: [../tags.csv]\n",
        ["plant.yaml:2:13", "beside the plant file", "../tags.csv"],
    ),
    "deep": (PLANT + "history: " + "[" * 5000 + "]" * 5000 + "\n", ["plant.yaml:2:", "nested deeper than 24 levels"]),
    "two settings": (
        PLANT + "connections:\n  x: {driver: modbus-tcp, host: a, port: 0, timeout_s: x, unti: 1}\n",
        ["x.port: must lie", "x.timeout_s: must be a number, was x", "x.unti: no setting"],
    ),
    "mapping as number": (asset("t: {at: hr 0, decimals: {}}"), ["tags.t.decimals: must be a whole number"]),
    "decimals": (asset("t: {at: hr 0, decimals: 40}"), ["decimals: must lie between 0 and 12, was 40"]),
    "tag list in place of a tag": (asset("t: [1]"), ["plant.yaml:5:", "tags.t: must be a mapping"]),
    "map": (asset("t: {at: hr 0, map: packl}"), ["tags.t.map: must be packml, or a mapping", "was packl"]),
    "map numbers": (
        asset("t: {at: hr 0, map: {one: On}}"),
        ["tags.t.map.one: a state is told by a whole number, was one"],
    ),
    "map number": (asset(f"t: {{at: hr 0, map: {{{2**63}: On}}}}"), ["map.9223372036854775808", "64 bits"]),
    "endless deadband": (asset("t: {at: hr 0, deadband: inf}"), ["tags.t.deadband: must be a number", "was inf"]),
    "map twice": (asset("t: {at: hr 0, map: {1: On, 01: Off}}"), ["tags.t.map.01: means the same as a key before it"]),
    "map of a counter": (asset("t: {at: hr 0, kind: counter, map: packml}"), ["a tag of kind counter has no map"]),
    "unit of a text": (
        asset("t: {at: hr 0 string4, unit: bar}"),
        ["a text has no unit, range or scale", "hr 0 string4"],
    ),
    "text kind with a range": (asset("t: {at: hr 0 string4, kind: text, range: [0, 1]}"), ["kind text has no range"]),
    "scale of a formula": (asset("t: {formula: 1 + 1, scale: {factor: 2}}"), ["a calculated tag has no scale"]),
    "scale half": (asset("t: {at: hr 0, scale: {raw: [0, 1]}}"), ["scale: raw and eu belong together"]),
    "scale both": (asset("t: {at: hr 0, scale: {raw: [0, 1], eu: [0, 1], factor: 1}}"), ["not both"]),
    "scale none": (asset("t: {at: hr 0, scale: {}}"), ["scale: needs raw and eu, or factor or offset"]),
    "scale flat": (asset("t: {at: hr 0, scale: {raw: [0, 1], eu: [1, 1]}}"), ["eu: the two values must differ"]),
    "scale by nothing": (asset("t: {at: hr 0, scale: {factor: 0}}"), ["scale.factor: may not be 0, was 0"]),
    "budget": (
        PLC.replace("host", "budget: {outstanding: 0}, host") + PLANT,
        ["plc1.budget.outstanding: must lie between 1 and 64, was 0"],
    ),
    "requests": (
        PLC.replace("host", "budget: {requests_per_s: -1}, host") + PLANT,
        ["plc1.budget.requests_per_s: may not be negative, was -1"],
    ),
    "alarm deadband": (asset("t: {at: hr 0, alarms: {high: {limit: 1, deadband: -1}}}"), ["high.deadband: may not be"]),
    "alarm without limit": (asset("t: {at: hr 0, alarms: {high: {priority: low}}}"), ["alarms.high: limit is missing"]),
    "interval": (
        PLANT + "types: {m: {maintenance: {plan: [{every: often, task: oil}]}}}\n",
        ["types.m.maintenance.plan.0.every", "was often"],
    ),
    "interval of nothing": (
        PLANT + "types: {m: {maintenance: {plan: [{every: 0 h, task: oil}]}}}\n",
        ["plan.0.every: must be more than nothing, was 0 h"],
    ),
    "rate": (
        PLANT + "types: {m: {production: {ideal_rate: 0/min}}}\n",
        ["must be a rate such as 120/min", "was 0/min"],
    ),
    "resolution": (asset("t: {at: hr 0, resolution: 2 s}"), ["a resolution must lie between 1 ns and 1 s, was 2 s"]),
    "name with a slash": (
        asset("a/b: {at: hr 0}").replace("tags: {a", "at: {a/b: hr 0}, tags: {a"),
        ["may not contain '/'"],
    ),
    "address of a formula": (
        HEAD + "types: {m: {tags: {s: {formula: 1 + 1}}}}\nassets:\n  a: {type: m, source: plc1, at: {s: hr 0}}\n",
        ["plant.yaml:6:", "assets.a.at.s: this tag is calculated (formula); it has no address, was hr 0"],
    ),
    "override that contradicts": (
        HEAD + "types: {m: {tags: {s: {alarms: {high: 5}}}}}\nassets:\n  a: {type: m, tags: {s: {alarms: {low: 9}}}}\n",
        ["assets.a.tags.s: does not fit what the type says: high: must be above low (9)"],
    ),
    "source of a tag": (
        asset("t: {at: hr 0, source: plc7}"),
        ["assets.a/b.tags.t.source: no such connection", "was plc7"],
    ),
    "text formula of a counter": (
        asset("t: {kind: counter, formula: \"'x'\"}"),
        ["gives a text, and the tag is of kind counter"],
    ),
    "number formula of a text": (asset("t: {kind: text, formula: 1 + 1}"), ["must give a text, and gives a number"]),
    "renamed twice": (
        HEAD + "assets: {a/b: {}}\nrenamed: {x: a/b, y: a/b}\n",
        ["plant.yaml:5:22", "renamed.y: x was renamed to this path as well, was a/b"],
    ),
    "deep aliases": (
        "a: &a " + "[" * 20 + "]" * 20 + "\nb: [[[[[[*a]]]]]]\n",
        ["plant.yaml:2:", "nested deeper than 24 levels"],
    ),
    "tag on a list": (PLANT + "tag_files: !!set [a]\n", ["YAML tags are not used here"]),
    "escape": (PLANT + 'history: "\\U00110000"\n', ["plant.yaml", "is not YAML"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_names_line_path_and_value(namespace, case):
    text, parts = CASES[case]
    with pytest.raises(Findings) as caught:
        namespace.plan(text)
    told = str(caught.value)
    for part in parts:
        assert part in told
    assert all(f.severity == "error" for f in caught.value.findings)
    assert namespace.current().version == 0


def test_all_mistakes_are_told_at_once(namespace):
    text = asset("p: {at: hr 0, unit: furlongz}, q: {at: xx}, r: {formula: p +}, s: {knd: state}")
    with pytest.raises(Findings) as caught:
        namespace.plan(text.replace("driver: modbus-tcp", "driver: modbus-tcp, prt: 1"))
    assert [f.path for f in caught.value.findings] == [
        "connections.plc1.prt",
        "assets.a/b.tags.p.unit",
        "assets.a/b.tags.q.at",
        "assets.a/b.tags.r.formula",
        "assets.a/b.tags.s.knd",
    ]


def test_a_refused_connection_makes_no_second_mistake_of_its_tags(namespace):
    with pytest.raises(Findings) as caught:
        namespace.plan(asset("p: {at: hr 0}").replace("modbus-tcp", "modbsu"))
    assert len(caught.value.findings) == 1


def test_ten_megabytes_are_refused_with_advice(namespace):
    text = HEAD + "# " + "x" * 10_000_000 + "\n"
    for given in (text, text.encode()):
        with pytest.raises(Findings, match=r"larger than 4 MB; put long tag lists into CSV .*, was 10\.0 MB"):
            namespace.plan(given)
    assert len(text) > MAX_FILE_BYTES


def test_bytes_that_are_not_utf8_are_named(namespace):
    with pytest.raises(Findings) as caught:
        namespace.plan((PLANT + "# caf").encode() + b"\xe9\n")
    (finding,) = caught.value.findings
    assert str(finding) == "plant.yaml:2:6: error: byte 44 is not UTF-8; save the file as UTF-8, was 0xE9"


def test_a_bomb_of_aliases_is_refused_without_being_opened(namespace):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(Findings, match="more than 1000000 values once its aliases are followed"):
        namespace.plan("\n".join(lines) + "\n")


def test_an_alias_to_itself_is_refused(namespace):
    with pytest.raises(Findings, match="no anchor of this name"):
        namespace.plan(PLANT + "history: &h {a: *h}\n")


def test_thousands_of_mistakes_are_counted_not_listed(namespace):
    tags = ", ".join(f"t{i}: {{kind: nothing}}" for i in range(1000))
    with pytest.raises(Findings) as caught:
        namespace.plan(asset(tags))
    assert len(caught.value.findings) == 201
    assert "and 800 more errors" in str(caught.value)
