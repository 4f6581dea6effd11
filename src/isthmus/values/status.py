"""Status codes of samples: the OPC UA StatusCode numbers, whatever the protocol the sample came by.

Source: OPC 10000-4 section 7.39 (StatusCode) and OPC 10000-6 annex A.2 (StatusCode.csv)
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

GOOD: Final = 0x00000000
GOOD_LOCAL_OVERRIDE: Final = 0x00960000
UNCERTAIN: Final = 0x40000000
UNCERTAIN_NO_COMMUNICATION_LAST_USABLE: Final = 0x408F0000
UNCERTAIN_LAST_USABLE_VALUE: Final = 0x40900000
UNCERTAIN_SUBSTITUTE_VALUE: Final = 0x40910000
UNCERTAIN_INITIAL_VALUE: Final = 0x40920000
UNCERTAIN_SENSOR_NOT_ACCURATE: Final = 0x40930000
UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: Final = 0x40940000
UNCERTAIN_SUB_NORMAL: Final = 0x40950000
BAD: Final = 0x80000000
BAD_INTERNAL_ERROR: Final = 0x80020000
BAD_RESOURCE_UNAVAILABLE: Final = 0x80040000
BAD_COMMUNICATION_ERROR: Final = 0x80050000
BAD_DECODING_ERROR: Final = 0x80070000
BAD_UNKNOWN_RESPONSE: Final = 0x80090000
BAD_TIMEOUT: Final = 0x800A0000
BAD_SHUTDOWN: Final = 0x800C0000
BAD_NO_COMMUNICATION: Final = 0x80310000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x80320000
BAD_NODE_ID_UNKNOWN: Final = 0x80340000
BAD_NOT_READABLE: Final = 0x803A0000
BAD_OUT_OF_RANGE: Final = 0x803C0000
BAD_NOT_SUPPORTED: Final = 0x803D0000
BAD_TYPE_MISMATCH: Final = 0x80740000
BAD_CONFIGURATION_ERROR: Final = 0x80890000
BAD_NOT_CONNECTED: Final = 0x808A0000
BAD_DEVICE_FAILURE: Final = 0x808B0000
BAD_SENSOR_FAILURE: Final = 0x808C0000
BAD_OUT_OF_SERVICE: Final = 0x808D0000
BAD_NO_DATA: Final = 0x809B0000
BAD_DATA_LOST: Final = 0x809D0000

SEVERITY_MASK: Final = 0xC0000000
"""The top two bits: 00 Good, 01 Uncertain, 10 Bad."""

NAMES: Final[dict[int, str]] = {
    GOOD: "Good",
    GOOD_LOCAL_OVERRIDE: "GoodLocalOverride",
    UNCERTAIN: "Uncertain",
    UNCERTAIN_NO_COMMUNICATION_LAST_USABLE: "UncertainNoCommunicationLastUsableValue",
    UNCERTAIN_LAST_USABLE_VALUE: "UncertainLastUsableValue",
    UNCERTAIN_SUBSTITUTE_VALUE: "UncertainSubstituteValue",
    UNCERTAIN_INITIAL_VALUE: "UncertainInitialValue",
    UNCERTAIN_SENSOR_NOT_ACCURATE: "UncertainSensorNotAccurate",
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: "UncertainEngineeringUnitsExceeded",
    UNCERTAIN_SUB_NORMAL: "UncertainSubNormal",
    BAD: "Bad",
    BAD_INTERNAL_ERROR: "BadInternalError",
    BAD_RESOURCE_UNAVAILABLE: "BadResourceUnavailable",
    BAD_COMMUNICATION_ERROR: "BadCommunicationError",
    BAD_DECODING_ERROR: "BadDecodingError",
    BAD_UNKNOWN_RESPONSE: "BadUnknownResponse",
    BAD_TIMEOUT: "BadTimeout",
    BAD_SHUTDOWN: "BadShutdown",
    BAD_NO_COMMUNICATION: "BadNoCommunication",
    BAD_WAITING_FOR_INITIAL_DATA: "BadWaitingForInitialData",
    BAD_NODE_ID_UNKNOWN: "BadNodeIdUnknown",
    BAD_NOT_READABLE: "BadNotReadable",
    BAD_OUT_OF_RANGE: "BadOutOfRange",
    BAD_NOT_SUPPORTED: "BadNotSupported",
    BAD_TYPE_MISMATCH: "BadTypeMismatch",
    BAD_CONFIGURATION_ERROR: "BadConfigurationError",
    BAD_NOT_CONNECTED: "BadNotConnected",
    BAD_DEVICE_FAILURE: "BadDeviceFailure",
    BAD_SENSOR_FAILURE: "BadSensorFailure",
    BAD_OUT_OF_SERVICE: "BadOutOfService",
    BAD_NO_DATA: "BadNoData",
    BAD_DATA_LOST: "BadDataLost",
}


def name(code: int) -> str:
    """The standard's name of a code; an unknown one is shown as its severity and number."""
    known = NAMES.get(code)
    if known is not None:
        return known
    return f"{('Good', 'Uncertain', 'Bad', 'Bad')[code >> 30]}(0x{code:08X})"


def is_good(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which rows may be counted, shown plainly and decided on. Shapes: (n,) -> (n,)"""
    good: NDArray[np.bool_] = np.equal(codes & np.uint32(SEVERITY_MASK), 0)
    return good


def is_bad(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which rows carry no usable value at all. Shapes: (n,) -> (n,)"""
    bad: NDArray[np.bool_] = np.not_equal(codes & np.uint32(BAD), 0)
    return bad


def worst(*codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Row by row the most severe of several codes, the first one among equals. Shapes: k of (n,) -> (n,)"""
    result = codes[0]
    for other in codes[1:]:
        result = np.where((other & SEVERITY_MASK) > (result & SEVERITY_MASK), other, result)
    return result.astype(np.uint32, copy=False)
