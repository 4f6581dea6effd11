"""bcrypt, only as far as the broker needs it: hashes of random passwords, made here and verified by nats-server.

The passwords are 256 random bits, so nobody can try them out whatever a hash costs; the least cost is used, because the broker pays it
at each connecting of each device. Do not use this for passwords that people choose (those are in `security`).

Source: Provos and Mazières, "A Future-Adaptable Password Scheme" (USENIX 1999); Blowfish's tables are the hexadecimal digits of pi
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final

COST: Final = 4
MAX_BYTES: Final = 72
_ROUNDS: Final = 16
_MASK: Final = 0xFFFFFFFF
_ALPHABET: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_MAGIC: Final = b"OrpheanBeholderScryDoubt"


@cache
def _pi_words() -> tuple[int, ...]:
    """The fraction of pi as 18 + 4 x 256 words of 32 bits, by Machin's formula."""
    words = _ROUNDS + 2 + 4 * 256
    guard = 64
    one = 1 << (words * 32 + guard)

    def arctan_of_inverse(x: int) -> int:
        total, term, n, sign = 0, one // x, 1, 1
        while term:
            total += sign * (term // n)
            term //= x * x
            n, sign = n + 2, -sign
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    fraction = (pi - 3 * one) >> guard
    return tuple((fraction >> (32 * (words - 1 - i))) & _MASK for i in range(words))


class _Blowfish:
    def __init__(self) -> None:
        digits = _pi_words()
        self._p = list(digits[: _ROUNDS + 2])
        self._s = list(digits[_ROUNDS + 2 :])

    def encrypt(self, left: int, right: int) -> tuple[int, int]:
        p, s = self._p, self._s
        left ^= p[0]
        for i in range(1, _ROUNDS + 1, 2):
            mixed = ((s[left >> 24] + s[256 + (left >> 16 & 255)]) ^ s[512 + (left >> 8 & 255)]) + s[768 + (left & 255)]
            right ^= (mixed & _MASK) ^ p[i]
            mixed = ((s[right >> 24] + s[256 + (right >> 16 & 255)]) ^ s[512 + (right >> 8 & 255)]) + s[
                768 + (right & 255)
            ]
            left ^= (mixed & _MASK) ^ p[i + 1]
        return right ^ p[_ROUNDS + 1], left

    def expand(self, salt: tuple[int, ...], key: bytes) -> None:
        """Mix a key, and a salt of four words (zeros: none), into all tables."""
        p, s = self._p, self._s
        words = [int.from_bytes(bytes(key[(4 * i + j) % len(key)] for j in range(4)), "big") for i in range(len(p))]
        for i, word in enumerate(words):
            p[i] ^= word
        left = right = turn = 0
        for table in (p, s):
            for i in range(0, len(table), 2):
                left, right = self.encrypt(left ^ salt[turn], right ^ salt[turn + 1])
                turn ^= 2
                table[i], table[i + 1] = left, right


def hashed(password: str, salt: bytes | None = None, cost: int = COST) -> str:
    """The hash of a password, as `$2a$…`.

    Raises: ValueError for a password longer than 72 bytes, or empty
    Cost: 0.1 s at cost 4, twice as much with each step
    """
    key = password.encode()
    if not 0 < len(key) < MAX_BYTES:
        raise ValueError(f"bcrypt takes 1 to {MAX_BYTES - 1} bytes")
    key += b"\0"
    salt = secrets.token_bytes(16) if salt is None else salt
    words = tuple(int.from_bytes(salt[i : i + 4], "big") for i in range(0, 16, 4))
    cipher, nothing = _Blowfish(), (0, 0, 0, 0)
    cipher.expand(words, key)
    for _ in range(1 << cost):
        cipher.expand(nothing, key)
        cipher.expand(nothing, salt)
    out = b""
    for i in range(0, len(_MAGIC), 8):
        left, right = int.from_bytes(_MAGIC[i : i + 4], "big"), int.from_bytes(_MAGIC[i + 4 : i + 8], "big")
        for _ in range(64):
            left, right = cipher.encrypt(left, right)
        out += left.to_bytes(4, "big") + right.to_bytes(4, "big")
    return f"$2a${cost:02d}${_base64(salt)}{_base64(out[:23])}"


def _base64(data: bytes) -> str:
    """The alphabet of bcrypt, without padding."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 6)
    return "".join(_ALPHABET[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))
