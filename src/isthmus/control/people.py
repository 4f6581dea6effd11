"""How somebody is told to the audit trail."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.control.model import Asker


def who(asker: Asker) -> Mapping[str, str]:
    """Somebody as `ports.audit` takes them."""
    return {
        "name": asker.name,
        "role": str(asker.role),
        "proof": str(asker.proof),
        "source": asker.source,
        "station": asker.station,
    }
