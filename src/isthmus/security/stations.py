"""Shared tablets and terminals: enrolled once by a code, then people sign in there by badge, narrowed to the place."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from isthmus.security.attempts import Attempts
from isthmus.security.codes import code_key, key_of, make_code
from isthmus.security.model import Means, Role, Station, User
from isthmus.security.names import check_account_name, name_key
from isthmus.security.scopes import make_scope, to_json
from isthmus.security.sessions import SignedIn
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied

if TYPE_CHECKING:
    from isthmus.security.service import Security
    from isthmus.security.store import Store

MAX_BADGE_CHARS = 64
_IDLE_S = (30, 8 * 3600)


def check_badge(badge: str) -> str:
    """The number of a badge when it is fit: as a reader types it.

    Raises: ConfigError
    """
    if not (badge.isascii() and badge.isalnum() and 4 <= len(badge) <= MAX_BADGE_CHARS):
        raise ConfigError(f"badge: must be 4 to {MAX_BADGE_CHARS} letters and digits")
    return badge.upper()


class Stations:
    """The stations of a plant, and signing in at one."""

    def __init__(self, security: Security, store: Store, clock: Clock, attempts: Attempts) -> None:
        self._security, self._store, self._clock, self._attempts = security, store, clock, attempts

    def all(self) -> list[Station]:
        """By name."""
        return self._store.stations()

    def create(
        self,
        name: str,
        under: Iterable[str],
        by: str,
        *,
        role: Role = Role.OPERATOR,
        badge_only: bool = False,
        idle_s: float | None = None,
    ) -> str:
        """A new station; the one-time code that its browser is enrolled by, to be shown this once.

        Raises: ConfigError for an unfit name or limit, or no path; Denied (name_taken)
        """
        name, scope = check_account_name(name), make_scope(under=under)
        if not scope.under:
            raise ConfigError("under: a station belongs to a place of the plant; name one path or more")
        idle_s = self._security.lifetimes.kiosk_idle_s if idle_s is None else idle_s
        if not _IDLE_S[0] <= idle_s <= _IDLE_S[1]:
            raise ConfigError(f"idle_s: must be {_IDLE_S[0]} to {_IDLE_S[1]} seconds, was {idle_s}")
        if role in (Role.ADMIN, Role.SECURITY):
            raise ConfigError(f"role: nobody runs the installation from a shared screen, was {role.value}")
        code, now_ns = make_code(3), self._clock.now_ns()
        values = {
            "name": name,
            "name_key": name_key(name),
            "role": role.value,
            "scope": to_json(scope),
            "badge_only": badge_only,
            "idle_s": round(idle_s),
            "code_hash": code_key(code),
            "code_expires_ns": now_ns + round(self._security.lifetimes.enrolment_s * NS_PER_S),
            "created_by": by[:64],
            "created_ns": now_ns,
        }
        if self._store.add_station(values) is None:
            raise Denied(f"another station is called {name}", "name_taken")
        return code

    def remove(self, name: str, by: str) -> bool:
        """Forget a station: who is signed in there is signed out at once. False when there is none."""
        ended = self._store.drop_station(name_key(name))
        if ended is None:
            return False
        self._security.forget(set(ended), set())
        self._security.log.info("station %s removed by %s, %d sessions ended", name, by, len(ended))
        return True

    def enrol(self, code: str, source: str) -> tuple[str, Station]:
        """Spend a one-time code: what goes into the browser's cookie, and the station.

        Raises: Denied (code_spent); TooManyFailures
        """
        now_ns, secret = self._clock.now_ns(), secrets.token_urlsafe(32)
        with self._security.lock:
            self._attempts.check("station enrolment", source, now_ns)
        station = self._store.enrol(code_key(code), key_of(secret), now_ns)
        if station is None:
            with self._security.lock:
                self._attempts.failed("station enrolment", source, now_ns)
            raise Denied("this code was used before, is too old or wrong; make the station anew", "code_spent")
        return secret, station

    def whose(self, cookie: str) -> Station | None:
        """The station of a cookie; being asked counts as use."""
        if not cookie:
            return None
        now_ns, unused_ns = self._clock.now_ns(), round(self._security.lifetimes.station_s * NS_PER_S)
        station = self._store.station(key_of(cookie), now_ns, unused_ns)
        if station is not None and now_ns - (station.seen_ns or 0) > 3600 * NS_PER_S:
            self._store.station_seen(station.id, now_ns)
        return station

    def sign_in(
        self, badge: str, pin: str, cookie: str, source: str, *, program: str = "", replaces: str = ""
    ) -> SignedIn:
        """A session for a badge and its PIN, at an enrolled station and narrowed to it.

        Raises: Denied (no_station, wrong_badge); TooManyFailures; TryLater when too many sign in at once
        """
        station = self.whose(cookie)
        if station is None:
            raise Denied("badges are taken at enrolled stations only; this browser is none", "no_station")
        badge, place = badge.strip().upper()[:MAX_BADGE_CHARS], f"station {station.name}"
        alone = station.badge_only and not pin
        user = self._by_badge_alone(badge, place) if alone else self._by_pin(badge, pin, place)
        return self._security.open(user, source, Means.BADGE, program=program, replaces=replaces, station=station)

    def prove(self, user: User, pin: str, station: str) -> None:
        """Whether a PIN is that of the one who is signed in at a station.

        Raises: Denied (wrong_badge); TooManyFailures; TryLater
        """
        if not user.badge or self._by_pin(user.badge, pin, f"station {station}").id != user.id:
            raise Denied("the PIN is wrong", "wrong_badge")

    def _by_badge_alone(self, badge: str, place: str) -> User:
        with self._security.lock:
            self._attempts.check(f"badge {badge}", place, self._clock.now_ns())
        found = self._store.by_badge(badge)
        user = found[0] if found and not found[0].disabled else None
        return self._outcome(user, badge, place)

    def _by_pin(self, badge: str, pin: str, place: str) -> User:
        with self._security.hash_slot():
            with self._security.lock:
                self._attempts.check(f"badge {badge}", place, self._clock.now_ns())
            found = self._store.by_badge(badge)
            stored = found[1] if found and not found[0].disabled else None
            good = self._security.matches(stored, pin)
        return self._outcome(found[0] if good and found else None, badge, place)

    def _outcome(self, user: User | None, badge: str, place: str) -> User:
        name = f"badge {badge}"
        with self._security.lock:
            if user is not None:
                self._attempts.succeeded(name, place)
                return user
            self._attempts.failed(name, place, self._clock.now_ns())
        raise Denied("this badge is not known here, or the PIN is wrong", "wrong_badge")
