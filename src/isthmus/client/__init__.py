"""A small Python client of the public API: live values, history as numpy, Arrow or pandas, write requests.

    from isthmus.client import connect

    with connect("http://localhost:8420") as plant:
        frame = plant.history(["packaging/line1/filler/speed"], start="now-8h").pandas()

It knows the public HTTP and WebSocket API and nothing else of Isthmus.
"""

from isthmus.client.api import Client, Tag, Value, WriteOutcome, connect
from isthmus.client.errors import (
    ApiError,
    Busy,
    Forbidden,
    Invalid,
    NotFound,
    NotSignedIn,
    Place,
    Unreachable,
    WriteRefused,
    WriteUncertain,
)
from isthmus.client.history import History
from isthmus.client.live import Update

__all__ = [
    "ApiError",
    "Busy",
    "Client",
    "Forbidden",
    "History",
    "Invalid",
    "NotFound",
    "NotSignedIn",
    "Place",
    "Tag",
    "Unreachable",
    "Update",
    "Value",
    "WriteOutcome",
    "WriteRefused",
    "WriteUncertain",
    "connect",
]
