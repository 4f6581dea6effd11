"""What is kept about people: declared here, once; shown, exported and erased by what is declared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, column, delete, func, inspect, or_, select, table, update

from isthmus.security.audit.search import Question
from isthmus.security.audit.service import Trail
from isthmus.security.names import name_key
from isthmus.security.service import Security
from isthmus.values.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of record about people.

    Of a table: ``by`` is the column that names the person (a name, a ``name_key`` or a ``user_id``), ``shown`` the columns
    a person is told, ``erase`` what happens to the rows: ``delete``, ``pseudonym`` in place of the name, or ``within``: in place of the
    name in a list.
    """

    what: str
    where: str
    purpose: str
    retention: str
    erasing: str
    table: str = ""
    by: str = ""
    shown: tuple[str, ...] = ()
    erase: str = ""


def _quality(
    what: str, table: str, by: str, shown: tuple[str, ...], purpose: str = "to know who vouches for what was made"
) -> Kept:
    """A name in the records of quality, which are kept."""
    return _named(what, purpose, table, by, shown)


def _orders(
    what: str, table: str, by: str, shown: tuple[str, ...], purpose: str = "to prove how a product was made"
) -> Kept:
    """A name in the records of orders, which are kept."""
    return _named(what, purpose, table, by, shown)


def _named(what: str, purpose: str, table: str, by: str, shown: tuple[str, ...]) -> Kept:
    """A name in records that say nothing without it: who is erased is a pseudonym there."""
    kept, erasing = "as long as the installation", "a pseudonym takes the name's place"
    return Kept(what, "records", purpose, kept, erasing, table, by, shown, "pseudonym")


SESSIONS: Final = "12 hours without use, 7 days in any case; swept at the next sign-in"
KEPT: Final = (
    Kept(
        "Sessions: address, browser, way of signing in, begin, last use",
        "records",
        "to stay signed in, and to be signed out by others",
        SESSIONS,
        "deleted",
        "security_sessions",
        "user_id",
        ("source", "program", "means", "created_ns", "seen_ns", "expires_ns"),
        "delete",
    ),
    Kept(
        "One-time links (hashed)",
        "records",
        "to sign in without a password",
        "24 hours, or until it is used",
        "deleted",
        "security_links",
        "user_id",
        ("created_ns", "expires_ns"),
        "delete",
    ),
    Kept(
        "Passkeys: name, public key, last use",
        "records",
        "to sign in without a password",
        "until it is removed, or the account is erased",
        "deleted",
        "security_passkeys",
        "user_id",
        ("name", "rp_id", "created_ns", "used_ns", "suspect_ns"),
        "delete",
    ),
    Kept(
        "Recovery codes (hashed)",
        "records",
        "to sign in when the second factor is lost",
        "until it is used, or the account is erased",
        "deleted",
        "security_recovery",
        "user_id",
        ("user_id",),
        "delete",
    ),
    Kept(
        "Whom a provider of sign-on vouches for",
        "records",
        "to know somebody again at the next sign-on",
        "until the account is erased",
        "deleted",
        "security_subjects",
        "user_id",
        ("issuer", "subject", "provider", "created_ns", "seen_ns"),
        "delete",
    ),
    Kept(
        "Who made the break-glass credential",
        "records",
        "to answer for it",
        "until the next is made",
        "a pseudonym takes the name's place",
        "security_emergency",
        "created_by",
        ("created_ns", "used_ns", "used_from"),
        "pseudonym",
    ),
    Kept(
        "Who made a station",
        "records",
        "to answer for it",
        "as long as the station",
        "a pseudonym takes the name's place",
        "security_stations",
        "created_by",
        ("name", "role", "created_ns"),
        "pseudonym",
    ),
    Kept(
        "Who put a change of the plant forward, and why",
        "records",
        "to know who changed what",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "namespace_change",
        "author",
        ("id", "created_ns", "reason", "decision"),
        "pseudonym",
    ),
    Kept(
        "Who approved or rejected a change, and why",
        "records",
        "to know who changed what",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "namespace_change",
        "decided_by",
        ("id", "created_ns", "reason", "decision"),
        "pseudonym",
    ),
    Kept(
        "Who applied or withdrew a change",
        "records",
        "to know who changed what",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "namespace_change",
        "closed_by",
        ("id", "created_ns", "reason", "decision"),
        "pseudonym",
    ),
    Kept(
        "Who answers for a program that put a change forward",
        "records",
        "so that nobody approves an own change",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "namespace_change",
        "behind",
        ("id", "created_ns"),
        "within",
    ),
    Kept(
        "How a person on duty is reached: addresses, language",
        "records",
        "to tell people on duty of alarms",
        "until it is removed, or the account is erased",
        "deleted",
        "callout_contact",
        "name_key",
        ("person", "language", "addresses"),
        "delete",
    ),
    Kept(
        "Who was told of an alarm, by which channel, and when",
        "records",
        "to deliver, to prove that somebody was told, and to find out why not",
        "callout.keep_days after the call's end",
        "a pseudonym takes the name's place",
        "callout_delivery",
        "person",
        ("channel", "state", "created_ns", "done_ns", "answered_ns"),
        "pseudonym",
    ),
    Kept(
        "Who answered a call",
        "records",
        "to know who took it",
        "callout.keep_days after the call's end",
        "a pseudonym takes the name's place",
        "callout_call",
        "answered_by",
        ("rule", "created_ns", "ended_ns"),
        "pseudonym",
    ),
    Kept(
        "Who is or was on a rota or a step of the call-out",
        "records",
        "to know who is on duty, and who was",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "callout_version",
        "people",
        ("kind", "name", "version", "at_ns"),
        "within",
    ),
    Kept(
        "Who changed the call-out, and why",
        "records",
        "to know who changed what",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "callout_version",
        "by",
        ("kind", "name", "version", "at_ns", "reason"),
        "pseudonym",
    ),
    Kept(
        "Who drew a screen last",
        "records",
        "to know who drew what people act by",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "screens_screen",
        "draft_by",
        ("id", "title", "draft_ns"),
        "pseudonym",
    ),
    Kept(
        "Who put a screen to review",
        "records",
        "to know whom to ask about it",
        "until it is published or given back",
        "a pseudonym takes the name's place",
        "screens_screen",
        "review_by",
        ("id", "title", "review_ns", "note"),
        "pseudonym",
    ),
    Kept(
        "Who drew on a screen since it was last published",
        "records",
        "so that nobody publishes an own drawing",
        "until it is drawn on anew after publishing",
        "a pseudonym takes the name's place",
        "screens_screen",
        "editors",
        ("id", "title"),
        "within",
    ),
    Kept(
        "Who drew a published version of a screen",
        "records",
        "to know who drew what people act by",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "screens_version",
        "authors",
        ("screen", "version", "published_ns", "note"),
        "within",
    ),
    Kept(
        "Who published a version of a screen",
        "records",
        "to know who let people act by it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "screens_version",
        "published_by",
        ("screen", "version", "published_ns", "note"),
        "pseudonym",
    ),
    Kept(
        "Who made an exception from a calendar, and why",
        "records",
        "to know who changed what was planned, for figures stand on it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_calendar_exception",
        "by",
        ("path", "kind", "start_ns", "end_ns", "name", "reason", "at_ns"),
        "pseudonym",
    ),
    Kept(
        "Who withdrew an exception from a calendar",
        "records",
        "to know who changed what was planned",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_calendar_exception",
        "withdrawn_by",
        ("path", "kind", "start_ns", "end_ns", "name", "withdrawn_ns"),
        "pseudonym",
    ),
    Kept(
        "Who changed a KPI or its targets last",
        "records",
        "to know whom to ask about a figure",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_kpi",
        "changed_by",
        ("name", "title", "changed_ns"),
        "pseudonym",
    ),
    Kept(
        "Who owns a KPI",
        "records",
        "to know who answers for a figure",
        "until another owner is named",
        "a pseudonym takes the name's place",
        "production_kpi",
        "owner",
        ("name", "title"),
        "pseudonym",
    ),
    Kept(
        "Who said something about production: a reason, scrap, an order at a machine",
        "records",
        "to know whom to ask about it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_entry",
        "by",
        ("number", "kind", "asset", "start_ns", "at_ns", "reason"),
        "pseudonym",
    ),
    Kept(
        "Who called for help, or asked for maintenance",
        "records",
        "to know who takes care of it, and how long help takes",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_request",
        "asked_by",
        ("id", "kind", "asset", "title", "asked_ns"),
        "pseudonym",
    ),
    Kept(
        "Who took up a call for help",
        "records",
        "to know who takes care of it, and how long help takes",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_request",
        "acknowledged_by",
        ("id", "kind", "asset", "title", "acknowledged_ns"),
        "pseudonym",
    ),
    Kept(
        "Who answered a call for help, and how",
        "records",
        "to know who takes care of it, and how long help takes",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_request",
        "answered_by",
        ("id", "kind", "asset", "title", "answer", "answered_ns"),
        "pseudonym",
    ),
    Kept(
        "Who closed a call for help, and why",
        "records",
        "to know who takes care of it, and how long help takes",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_request",
        "closed_by",
        ("id", "kind", "asset", "title", "closing", "closed_ns"),
        "pseudonym",
    ),
    Kept(
        "Who does something against a loss",
        "records",
        "to know whom to ask about it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_action",
        "owner",
        ("id", "title", "due", "state"),
        "pseudonym",
    ),
    Kept(
        "Who put down an improvement action",
        "records",
        "to know whom to ask about it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_action",
        "created_by",
        ("id", "title", "created_ns"),
        "pseudonym",
    ),
    Kept(
        "Who changed an improvement action last",
        "records",
        "to know whom to ask about it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_action",
        "changed_by",
        ("id", "title", "state", "changed_ns"),
        "pseudonym",
    ),
    Kept(
        "Who verified what an improvement action brought",
        "records",
        "to know whom to ask about it",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "production_action",
        "verified_by",
        ("id", "title", "verified"),
        "pseudonym",
    ),
    Kept(
        "Account: name, role, password and PIN (hashed), badge, second factor (sealed)",
        "records",
        "to know who may do what",
        "until the account is erased",
        "deleted",
        "security_users",
        "name_key",
        ("name", "role", "disabled", "badge", "totp_confirmed", "created_ns", "seen_ns"),
        "delete",
    ),
    Kept(
        "Who made an API token",
        "records",
        "to answer for programs that act",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "security_tokens",
        "created_by",
        ("name", "role", "created_ns", "expires_ns", "revoked_ns"),
        "pseudonym",
    ),
    Kept(
        "Who asked for a write to a device, and why",
        "records",
        "to know who changed what on the machines",
        "as long as the installation, at most 200,000 rows",
        "a pseudonym takes the name's place",
        "control_write",
        "by",
        ("id", "path", "value", "state", "why", "requested_ns"),
        "pseudonym",
    ),
    Kept(
        "Who agreed to a write as a second person",
        "records",
        "to know who changed what on the machines",
        "as long as the installation, at most 200,000 rows",
        "a pseudonym takes the name's place",
        "control_write",
        "approved_by",
        ("id", "path", "value", "state", "requested_ns"),
        "pseudonym",
    ),
    Kept(
        "Who answers for a program that asked for a write",
        "records",
        "so that nobody agrees to an own write",
        "as long as the installation, at most 200,000 rows",
        "a pseudonym takes the name's place",
        "control_write",
        "behind",
        ("id", "path", "requested_ns"),
        "within",
    ),
    Kept(
        "Who set the mode of a zone, and why",
        "records",
        "to know why a zone is halted",
        "until the next change",
        "a pseudonym takes the name's place",
        "control_mode",
        "by",
        ("zone", "mode", "reason", "since_ns"),
        "pseudonym",
    ),
    Kept(
        "Who accepted a change that no write explains, and why",
        "records",
        "to know where it came from",
        "as long as the installation, at most 200,000 rows",
        "a pseudonym takes the name's place",
        "control_change",
        "by",
        ("id", "path", "reason", "accepted_ns"),
        "pseudonym",
    ),
    Kept(
        "Who wrote a version of a recipe, and why",
        "records",
        "to know who decided what the machines run with",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "control_recipe_version",
        "author",
        ("recipe", "number", "created_ns", "reason"),
        "pseudonym",
    ),
    Kept(
        "Who approved a version of a recipe",
        "records",
        "to know who decided what the machines run with",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "control_recipe_version",
        "approved_by",
        ("recipe", "number", "approved_ns"),
        "pseudonym",
    ),
    Kept(
        "Who answers for a program that wrote a version of a recipe",
        "records",
        "so that nobody approves an own version",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "control_recipe_version",
        "behind",
        ("recipe", "number", "created_ns"),
        "within",
    ),
    Kept(
        "Who downloaded a recipe to a machine, and why",
        "records",
        "to know who changed what on the machines",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "control_download",
        "by",
        ("id", "recipe", "number", "asset", "began_ns", "reason"),
        "pseudonym",
    ),
    Kept(
        "Who agreed to a download of a recipe, or said no",
        "records",
        "to know who changed what on the machines",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "control_download",
        "second",
        ("id", "recipe", "number", "asset", "began_ns", "said"),
        "pseudonym",
    ),
    Kept(
        "Who applied a version of the plant file, and why",
        "records",
        "to know who changed what the machines are read and guarded by",
        "as long as the installation",
        "a pseudonym takes the name's place",
        "namespace_version",
        "by",
        ("version", "applied_ns", "reason"),
        "pseudonym",
    ),
    _quality(
        "Who changed an inspection plan, and why",
        "quality_plan",
        "changed_by",
        ("id", "version", "changed_ns", "reason"),
    ),
    _quality(
        "Who recorded a check, and what was said",
        "quality_check",
        "by",
        ("id", "characteristic", "time_ns", "passed", "comment"),
    ),
    _quality(
        "Who said that a check does not count, and why",
        "quality_check",
        "void_by",
        ("id", "characteristic", "void_ns", "void_reason"),
    ),
    _quality("Who set control limits, and why", "quality_limits", "by", ("id", "characteristic", "since_ns", "reason")),
    _quality("Who held something back", "quality_hold", "opened_by", ("id", "asset", "lot", "opened_ns", "reason")),
    _quality(
        "Who released a hold, and why",
        "quality_hold",
        "released_by",
        ("id", "asset", "lot", "released_ns", "release_reason"),
    ),
    _quality("Who opened a nonconformance", "quality_nonconformance", "opened_by", ("id", "title", "opened_ns")),
    _quality(
        "Who owns a nonconformance",
        "quality_nonconformance",
        "owner",
        ("id", "title", "due_ns"),
        purpose="to know whom to ask about it",
    ),
    _quality(
        "Who closed a nonconformance", "quality_nonconformance", "closed_by", ("id", "title", "closed_ns", "cause")
    ),
    _quality(
        "Who asked for a corrective action",
        "quality_action",
        "opened_by",
        ("id", "title", "opened_ns"),
        purpose="to know whom to ask about it",
    ),
    _quality(
        "Who owns a corrective action",
        "quality_action",
        "owner",
        ("id", "title", "due_ns"),
        purpose="to know who does it",
    ),
    _quality("Who did a corrective action", "quality_action", "done_by", ("id", "title", "done_ns", "result")),
    _quality("Who saw that a corrective action works", "quality_action", "verified_by", ("id", "title", "verified_ns")),
    Kept(
        "Who acknowledged, shelved or set aside an alarm, and what was said",
        "records",
        "to know who answered which alarm",
        "as long as the journal of alarms: its last 2,000,000 lines",
        "a pseudonym takes the name's place",
        "alarms_journal",
        "by",
        ("seq", "time_ns", "alarm", "after", "comment"),
        "pseudonym",
    ),
    Kept(
        "Who acknowledged an alarm first",
        "records",
        "to know how long alarms wait for an answer",
        "as long as the journal of alarms: its last 2,000,000 occurrences",
        "a pseudonym takes the name's place",
        "alarms_occurrence",
        "by",
        ("id", "alarm", "raised_ns", "acknowledged_ns"),
        "pseudonym",
    ),
    Kept(
        "Who acknowledged an alarm that still stands",
        "records",
        "to show who takes care of it",
        "until the alarm clears",
        "a pseudonym takes the name's place",
        "alarms_standing",
        "by",
        ("alarm", "acknowledged_ns", "comment"),
        "pseudonym",
    ),
    Kept(
        "Who shelved an alarm",
        "records",
        "to show who put it aside, and why",
        "until it is back",
        "a pseudonym takes the name's place",
        "alarms_standing",
        "shelved_by",
        ("alarm", "shelved_until_ns", "reason"),
        "pseudonym",
    ),
    Kept(
        "Who took an alarm out of service",
        "records",
        "to show who put it aside, and why",
        "until it is back",
        "a pseudonym takes the name's place",
        "alarms_standing",
        "removed_by",
        ("alarm", "removed_until_ns", "reason"),
        "pseudonym",
    ),
    Kept(
        "Who changed a limit at run time, and why",
        "records",
        "to know by which numbers machines are watched",
        "until it is as the plant file says again",
        "a pseudonym takes the name's place",
        "alarms_change",
        "by",
        ("alarm", "changed_ns", "reason"),
        "pseudonym",
    ),
    _orders(
        "Who wrote a version of a product, and why",
        "orders_product_version",
        "by",
        ("id", "version", "at_ns", "reason"),
        purpose="to know who decided what is made and how",
    ),
    _orders(
        "Who planned an order",
        "orders_order",
        "by",
        ("id", "product", "created_ns"),
        purpose="to know whom to ask about it",
    ),
    _orders(
        "Who started an operation at a machine",
        "orders_run",
        "by",
        ("order", "operation", "asset", "start_ns", "end_ns"),
        purpose="to know who ran what",
    ),
    _orders("Who did what to an order", "orders_event", "by", ("order", "operation", "kind", "at_ns")),
    _orders(
        "Who worked on an operation, from when to when",
        "orders_labour",
        "person",
        ("order", "operation", "asset", "start_ns", "end_ns"),
        purpose="to prove that who worked on it was taught to, and for the cost of an order",
    ),
    Kept(
        "Who was taught what",
        "records",
        "to let nobody work on what they were not taught",
        "until it is taken away, or the account is erased",
        "deleted",
        "orders_skill",
        "person",
        ("skill", "until_ns"),
        "delete",
    ),
    _orders("Who did a step of the work instructions", "orders_step", "by", ("order", "operation", "step", "at_ns")),
    _orders(
        "Who signed a step, and with which meaning",
        "orders_signature",
        "by",
        ("order", "operation", "step", "lot", "meaning", "at_ns"),
    ),
    _orders(
        "Who brought a lot into stock",
        "orders_lot",
        "by",
        ("id", "product", "created_ns"),
        purpose="to prove what a product was made of",
    ),
    _orders(
        "Who took of a lot, or counted it",
        "orders_move",
        "by",
        ("lot", "kind", "order", "at_ns"),
        purpose="to prove what a product was made of",
    ),
    _orders("Who took a reading by hand", "orders_reading", "by", ("point", "at_ns", "comment")),
    Kept(
        "Who wrote what into the shift log",
        "records",
        "to know whom to ask about what one shift told the next",
        "as long as the installation",
        "a pseudonym takes the name's place; names that people wrote into a note stay as they are",
        "production_shift_log",
        "by",
        ("id", "path", "at_ns", "kind", "text"),
        "pseudonym",
    ),
    Kept(
        "The name behind a pseudonym of the audit log",
        "records",
        "to read the audit log",
        "twice as long as the log keeps what the person did last",
        "deleted: the log's records stay and lead to nobody",
        "audit_people",
        "name_key",
        ("pseudonym", "kind", "seen_ns"),
        "delete",
    ),
    Kept(
        "Actions and sign-ins under a pseudonym: time, role, address, what was changed, and why",
        "audit log",
        "to show who did what, also to a court",
        "audit.keep_days, then whole files go",
        "stays in the chain under its pseudonym; addresses and reasons that somebody wrote stay as they are",
    ),
    Kept(
        "Sign-ins in the logs of the processes: name, address",
        "log files",
        "to find what is wrong",
        "log.file_mb × log.files of each process, the oldest goes",
        "not erased by name: goes with the file",
    ),
    Kept(
        "All of the above at the time of a backup",
        "backups",
        "to come back after a loss",
        "as long as the backups are kept (`isthmus backup --keep`)",
        "not erased: erase again after a restore",
    ),
)
"""Where rows refer to other rows, those that refer come first."""

NO_PEOPLE: Final = frozenset(
    {
        "acquisition_cursor",
        "acquisition_outage",
        "alarms_cursor",
        "alarms_mark",
        "alarms_reported",
        "alembic_version",
        "analytics_cursor",
        "analytics_event",
        "analytics_mark",
        "audit_mark",
        "control_cursor",
        "control_line",
        "control_recipe",
        "control_watch",
        "callout_attempt",
        "callout_cursor",
        "callout_member",
        "delivery_cursor",
        "delivery_letter",
        "delivery_state",
        "namespace_change_file",
        "namespace_compiled",
        "namespace_content",
        "namespace_file",
        "namespace_tag",
        "orders_job",
        "orders_link",
        "orders_point",
        "orders_product",
        "production_day",
        "production_dirty",
        "production_kpi_target",
        "production_name",
        "production_restatement",
        "production_slots",
        "quality_cursor",
        "quality_sampler",
    }
)
"""Tables that hold nothing about a person; a test holds both lists against the tables there are."""

_MOST: Final = 10_000


def undeclared(engine: Engine) -> set[str]:
    """Tables of which nobody has said whether they hold something about people."""
    return set(inspect(engine).get_table_names()) - NO_PEOPLE - {kept.table for kept in KEPT}


@dataclass(frozen=True, slots=True)
class TeamFigures:
    """The rule for figures about teams, which whoever computes some must ask."""

    smallest_group: int = 5

    def may_show(self, people: int) -> bool:
        """Whether a figure over so many people singles out nobody, as the plant sees it."""
        return people >= self.smallest_group


class Privacy:
    """Questions about what is kept. Synchronous."""

    def __init__(
        self, engine: Engine, security: Security, trail: Trail, team_figures: TeamFigures | None = None
    ) -> None:
        self._engine, self._security, self._trail = engine, security, trail
        self.team_figures = team_figures or TeamFigures()

    def export(self, name: str) -> dict[str, Any]:
        """Everything that is kept about a person, but for hashes of secrets; audit records newest first.

        Raises: LookupError if nothing is
        """
        found: list[dict[str, Any]] = []
        user_id = self._user_id(name)
        with self._engine.begin() as connection:
            for kept in KEPT:
                if not kept.table:
                    continue
                rows = table(kept.table, *(column(c) for c in {*kept.shown, kept.by}))
                where = self._where(kept, rows.c[kept.by], name, user_id)
                if where is not None:
                    query = select(*(rows.c[c] for c in kept.shown)).where(where).limit(_MOST)
                    found += [{"what": kept.what, **row} for row in connection.execute(query).mappings()]
        ours = self._trail.names.find(name, "person")
        records = self._trail.search(Question(limit=1000), who=ours[0])[0] if ours else None
        if not found and not ours:
            raise LookupError(name)
        return {
            "rows": found,
            "audit": records.records if records else [],
            "audit_complete": records is None or not records.before,
        }

    def erase(self, name: str) -> dict[str, Any]:
        """Take a person out of everything but the chain, the logs and the backups; how many rows, by kind.

        Raises: LookupError if nothing is kept
        """
        user_id = self._user_id(name)
        known = self._trail.names.find(name, "person")
        if user_id is not None:
            self._security.change_user(name, disabled=True)  # ends sessions at once, in memory, too
        pseudonym = self._trail.person(name)
        counts: dict[str, int] = {}
        with self._engine.begin() as connection:
            for kept in KEPT:
                if not kept.table or kept.table == "audit_people":
                    continue
                rows = table(kept.table, column(kept.by))
                where = self._where(kept, rows.c[kept.by], name, user_id)
                if where is None:
                    continue
                after: Any = pseudonym
                if kept.erase == "within":
                    after = func.replace(rows.c[kept.by], json.dumps(name), json.dumps(pseudonym))
                change = (
                    delete(rows).where(where)
                    if kept.erase == "delete"
                    else update(rows).where(where).values({kept.by: after})
                )
                count = connection.execute(change).rowcount
                if count:
                    counts[kept.table] = counts.get(kept.table, 0) + count
        gone = self._trail.names.forget(name)
        if not counts and not known:
            raise LookupError(name)
        return {"pseudonyms": gone, "rows": counts}

    def _user_id(self, name: str) -> int | None:
        return next((u.id for u in self._security.users() if name_key(u.name) == name_key(name)), None)

    @staticmethod
    def _where(kept: Kept, named_by: Any, name: str, user_id: int | None) -> Any:
        """The condition for a person's rows; None when there can be none."""
        if kept.erase == "within":
            return named_by.contains(json.dumps(name), autoescape=True)
        if named_by.name == "user_id":
            return None if user_id is None else named_by == user_id
        if named_by.name == "name_key":
            return named_by == name_key(name)
        return or_(named_by == name, func.lower(named_by) == name.lower())  # the database lowers ASCII alone


_REASON = re.compile(r"\S")


def check_reason(reason: str) -> str:
    """A reason that says something.

    Raises: ConfigError
    """
    if not _REASON.search(reason):
        raise ConfigError("reason: must say why")
    return reason
