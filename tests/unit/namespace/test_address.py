"""Templates of addresses: what stands in braces is computed from an asset's parameters."""

from __future__ import annotations

import pytest

from isthmus.namespace.address import fill
from isthmus.values.errors import ConfigError

WITH = {"base": 100, "n": 3, "node": "Pump", "slot-1": 7}


@pytest.mark.parametrize(
    ("template", "address"),
    [
        ("hr 5", "hr 5"),
        ("hr {base}", "hr 100"),
        ("hr { base + 2 } float32", "hr 102 float32"),
        ("hr {base+2*n-1}.{n}", "hr 105.3"),
        ("hr {(base+2)*(n-1)}", "hr 204"),
        ("hr {base-n-n}", "hr 94"),
        ("ns=2;s={node}.Speed", "ns=2;s=Pump.Speed"),
        ("{slot-1}", "7"),
    ],
)
def test_it_computes(template, address):
    assert fill(template, WITH) == address


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{}", "must have 1 to 40 parts"),
        ("{bas}", "bas is not among the asset's `with`; did you mean base?"),
        ("{slot-2}", "slot is not among the asset's `with`; did you mean slot-1?"),
        ("{node+1}", "node is a text and cannot be computed with"),
        ("{base+}", "something is missing at the end"),
        ("{base n}", "n is at the wrong place"),
        ("{(base}", "something is missing at the end"),
        ("{base)}", "a bracket is closed that was not opened"),
        ("{base/2}", "only names of the asset's `with`, whole numbers"),
        ("{" + "+".join("n" * 30) + "}", "must have 1 to 40 parts"),
    ],
)
def test_it_says_what_is_wrong(template, problem):
    with pytest.raises(ConfigError) as caught:
        fill(template, WITH)
    assert problem in str(caught.value)
