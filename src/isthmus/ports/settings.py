"""How settings of a plugin become its checked config."""

from __future__ import annotations

from typing import Any

from isthmus.values.errors import ConfigError


def configured(config: type[Any], settings: dict[str, Any], plugin: str) -> object:
    """The checked config object; ``plugin`` is who asks, for people: "driver modbus-tcp".

    Raises: ConfigError naming the key, the problem and the value
    """
    known = getattr(config, "__dataclass_fields__", {})
    for key in settings:
        if key not in known:
            raise ConfigError(f"{key}: not a setting of {plugin} ({', '.join(sorted(known))})")
    try:
        return config(**settings)
    except TypeError as error:
        raise ConfigError(f"{plugin}: {error}") from None
