"""References to secrets: what stands in a file instead of a password. The plant file never holds the secret itself."""

from __future__ import annotations

import re

from isthmus.values.errors import ConfigError

_REFERENCE = re.compile(r"(?:secret:[A-Za-z0-9][A-Za-z0-9_.-]{0,62}|env:[A-Za-z_][A-Za-z0-9_]*)\Z")


def check_reference(text: object, key: str) -> str:
    """A reference such as ``secret:press-7`` (`isthmus secret set press-7`) or ``env:PRESS_PASSWORD``.

    Raises: ConfigError that does not repeat what was given, as it may be the password itself
    """
    if not isinstance(text, str) or not _REFERENCE.match(text):
        raise ConfigError(
            f"{key}: must be a reference such as secret:press-7 (set by `isthmus secret set press-7`) or env:NAME, "
            "never the secret itself"
        )
    return text
