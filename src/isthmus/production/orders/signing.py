"""Work instructions done step by step, and electronic signatures over what was done.

A signature is text that says what was signed: order, product and version, step and its meaning, the lot, what was counted, used
and done until then, who (as a pseudonym, so that the text outlives the name), when, and the hash of the signature before. Its
SHA-256 is kept beside it and goes into the audit log, too. Who signs proves anew who they are; web asks for it.

Source: 21 CFR 11.50, 11.70, 11.100, 11.200
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection

from isthmus.namespace.changes import Hand
from isthmus.production.orders import lot_store, store
from isthmus.production.orders.model import (
    OPEN,
    Count,
    Done,
    Happening,
    Order,
    Product,
    Signature,
    State,
    Step,
    StepKind,
)
from isthmus.production.orders.quantity import shown
from isthmus.production.orders.records import Records
from isthmus.values.clock import Clock
from isthmus.values.errors import Denied

FORMAT = 1
_NEEDS = {StepKind.SIGN: "a signature", StepKind.READING: "a reading"}


class Signing:
    """Keeps steps and signatures."""

    def __init__(self, records: Records, clock: Clock, pseudonym: Callable[[str], str]) -> None:
        self._records, self._clock, self._pseudonym = records, clock, pseudonym

    async def do(self, order: Order, product: Product, operation: int, step: str, result: str, hand: Hand) -> Done:
        """A step that is read or checked.

        Raises: LookupError; Denied (wrong_state, wrong_step)
        """
        one = step_of(product, operation, step)
        if one.kind in _NEEDS:
            raise Denied(f"step {step} asks for {_NEEDS[one.kind]}, not for a tick", "wrong_step")
        made = Done(order.id, operation, step, self._clock.now_ns(), hand.name, result)
        await self._keep(order, made)
        return made

    @staticmethod
    def check_reading(product: Product, operation: int, step: str, point: str) -> None:
        """Whether a step asks for a reading of this point.

        Raises: LookupError; Denied (wrong_step)
        """
        one = step_of(product, operation, step)
        if one.kind is not StepKind.READING or one.point != point:
            raise Denied(f"step {step} asks for no reading of {point}", "wrong_step")

    async def read(self, order: Order, operation: int, step: str, reading: int, hand: Hand) -> None:
        """A reading that belongs to a step was taken."""
        await self._keep(order, Done(order.id, operation, step, self._clock.now_ns(), hand.name, f"reading {reading}"))

    async def _keep(self, order: Order, made: Done) -> None:
        def keep(db: Connection) -> None:
            _check_open(db, order.id, made.operation)
            store.add_done(db, made)
            detail = {"step": made.step} | ({"result": made.result} if made.result else {})
            store.add_event(db, Happening(order.id, made.operation, "step", made.at_ns, made.by, detail))

        await self._records.do(keep)

    async def sign(
        self, order: Order, product: Product, operation: int, step: str, hand: Hand, proof: str, comment: str = ""
    ) -> Signature:
        """Sign a step; ``proof`` says by what the person was known anew.

        Raises: LookupError; Denied (wrong_state, wrong_step, needs_session)
        """
        if not hand.person:
            raise Denied("only a person signs; a token cannot do it for one", "needs_session")
        one = step_of(product, operation, step)
        if one.kind is not StepKind.SIGN:
            raise Denied(f"step {step} asks for no signature", "wrong_step")
        now_ns = self._clock.now_ns()
        told = {"signer": self._pseudonym(hand.name), "proof": proof, "at_ns": now_ns, "comment": comment}

        def sign(db: Connection) -> Signature:
            _check_open(db, order.id, operation)
            earlier = product.operation(operation).steps
            before = [other for other in earlier[: earlier.index(one)] if other.required]
            _check_done(db, order.id, operation, before, "sign")
            content = store.dump(told | _record(db, order, product, operation, one) | {"previous": store.last_hash(db)})
            made = Signature(
                0, order.id, operation, step, order.lot, one.meaning, hand.name, now_ns, content, hash_of(content)
            )
            store.add_done(db, Done(order.id, operation, step, now_ns, hand.name, f"signed {made.hash[:12]}"))
            store.add_event(
                db, Happening(order.id, operation, "sign", now_ns, hand.name, {"step": step, "hash": made.hash})
            )
            return store.add_signature(db, made)

        return await self._records.do(sign)

    async def signatures(self, *, order: str = "", lot: str = "") -> list[tuple[Signature, bool]]:
        """Of an order or a lot, each with whether its text is still the one that was signed."""

        def load(db: Connection) -> list[tuple[Signature, bool]]:
            return [(one, holds(one)) for one in store.signatures(db, order=order, lot=lot)]

        return await self._records.do(load)


def hash_of(content: str) -> str:
    """SHA-256 of what was signed."""
    return sha256(content.encode()).hexdigest()


def holds(one: Signature) -> bool:
    """Whether text and columns are those that were signed."""
    if hash_of(one.content) != one.hash:
        return False
    told = orjson.loads(one.content)
    columns = {"order": one.order, "operation": one.operation, "step": one.step, "lot": one.lot, "at_ns": one.at_ns}
    return all(told.get(key) == value for key, value in columns.items()) and told.get("meaning") == one.meaning


def step_of(product: Product, operation: int, key: str) -> Step:
    """One step of the instructions. Raises: LookupError"""
    for step in product.operation(operation).steps:
        if step.key == key:
            return step
    raise LookupError(key)


def check_steps(db: Connection, order: Order, product: Product, operation: int) -> None:
    """Whether everything that must be done before an operation is completed was done.

    Raises: Denied (steps_open) naming what is missing
    """
    required = [step for step in product.operation(operation).steps if step.required]
    _check_done(db, order.id, operation, required, "complete")


def _check_done(db: Connection, order: str, operation: int, steps: list[Step], to: str) -> None:
    known = {one.step for one in store.done(db, order) if one.operation == operation}
    missing = [step.title or step.key for step in steps if step.key not in known]
    if missing:
        raise Denied(f"to {to} operation {operation} these steps are missing: {', '.join(missing)}", "steps_open")


def _check_open(db: Connection, ident: str, operation: int) -> None:
    found = store.order(db, ident)
    state = found.job(operation).state if found else State.CANCELLED
    if state not in OPEN or state is State.PLANNED:
        raise Denied(f"operation {operation} of order {ident} is {state}: nothing is done in it now", "wrong_state")


def _record(db: Connection, order: Order, product: Product, operation: int, step: Step) -> dict[str, Any]:
    """What stands in the record at this moment."""
    counts: Mapping[tuple[str, int], Count] = store.counts(db, [order.id])
    count = counts.get((order.id, operation), Count())
    used = {f"{lot}@{at}": shown(amount) for (_, at, lot), amount in lot_store.booked(db, order.id).items()}
    done = {f"{one.operation}/{one.step}": [one.at_ns, one.result] for one in store.done(db, order.id)}
    return {
        "format": FORMAT, "order": order.id, "product": product.id, "version": product.version, "operation": operation,
        "step": step.key, "text": step.text, "title": step.title, "meaning": step.meaning, "lot": order.lot,
        "quantity": shown(order.quantity), "good": shown(count.good), "reject": shown(count.reject), "used": used, "done": done,
    }  # fmt: skip
