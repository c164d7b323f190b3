"""SUPERVISED mode: a signal that passes waits for a person, and is judged again when they approve.

It expires unsent with its age limit, or its own `valid_until` where that is sooner.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from brokers.instruments.kinds import optional_text
from execution_site.floor import audit, locks
from execution_site.floor.audit import Actor
from execution_site.floor.events import EventType, record_event
from execution_site.rest.idempotency import once
from orders import hints
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import lock_rows, proposed_by, spec_of
from orders.judging import gather
from orders.judging.admission import decide, store
from orders.models import Action, Approval, Order, Signal, SignalStatus
from orders.order_state import cancel_entries
from orders.payloads import signal_json, time_text
from risk.four_eyes import check_two_persons
from risk.gate import Verdict

Outcome = Approval.Outcome


class NotWaiting(Exception):
    """The signal does not wait for anybody. `code` is stable."""

    code = "signal_not_waiting"


def approve(
    request: SignalRequest, signal_id: int, *, actor: Actor, now: datetime
) -> tuple[Signal, Verdict, Order | None]:
    """Judge a waiting signal again, all checks, and queue its order where it still passes.

    `request` is what the client sent, read again. The order is None where risk now refuses.

    :raises SamePerson: whoever approves sent it, or it is not known who did
    :raises NotWaiting: it was decided before, or has expired
    """
    signal = Signal.objects.select_related("client", "connection", "instrument").get(pk=signal_id)
    account = signal.connection.name
    proposed = proposed_by(request, signal.client, approved_by=actor.name)
    case = gather.open_case(proposed, spec_of(request, signal.client), now=now)
    with once():
        (case,) = gather.lock([case])
        lock_rows(request, case.references)
        approval, signal = _waiting(signal_id, now=now)
        check_two_persons(signal.client.person_id, actor.person)
        decided = store(decide(case, gather.read(case), signal_id=signal.pk))
        verdict, order = decided.verdict, decided.order
        approval.decision = decided.decision
        outcome = Outcome.APPROVED if verdict.approved else Outcome.REFUSED
        status = SignalStatus.APPROVED if verdict.approved else SignalStatus.REFUSED
        if verdict.approved and request.action is Action.EXIT:
            cancel_entries(
                connection_id=signal.connection_id,
                strategy=signal.strategy,
                instrument_id=signal.traded.pk,
                now=now,
            )
        _end_wait(
            approval, signal, order, outcome, status, actor=actor.name, reason="approved", now=now
        )
    if order is not None:
        hints.transmit(account)
    return signal, verdict, order


def decline(signal_id: int, *, actor: str, reason: str, now: datetime) -> Signal:
    """Decline a waiting signal.

    :raises NotWaiting: it was decided before, or has expired
    :raises audit.ReasonRequired: without a reason
    """
    if not reason.strip():
        raise audit.ReasonRequired("decline")
    with once():
        approval, signal = _waiting(signal_id, now=now)
        _end_wait(
            approval,
            signal,
            None,
            Outcome.DECLINED,
            SignalStatus.DECLINED,
            actor=actor,
            reason=reason.strip(),
            now=now,
        )
    return signal


def overdue(*, now: datetime) -> list[int]:
    """Return the signals whose wait is over, those first that have waited longest."""
    over = Approval.objects.filter(outcome=Outcome.WAITING, expires_at__lte=now)
    return list(over.order_by("expires_at").values_list("signal_id", flat=True))


def expire(signal_id: int, *, now: datetime) -> bool:
    """End a wait that is over; tell whether it was done. Rows in use are left alone."""
    over = Approval.objects.filter(
        signal_id=signal_id, outcome=Outcome.WAITING, expires_at__lte=now
    )
    with transaction.atomic(durable=True):
        if locks.first_free(over) is None:
            return False
        if locks.first_free(Signal.objects.filter(pk=signal_id)) is None:
            return False
        approval = Approval.objects.select_related("signal__connection", "signal__instrument").get(
            signal_id=signal_id
        )
        _end_wait(
            approval,
            approval.signal,
            None,
            Outcome.EXPIRED,
            SignalStatus.EXPIRED,
            actor="engine",
            reason="nobody decided in time",
            now=now,
        )
    return True


def describe(approval: Approval) -> dict[str, Any]:
    """Return a wait as people see it: the signal, how the price has moved, how long is left.

    `drift_basis_points` is positive when the price has moved against the signal.
    """
    signal = approval.signal
    quote = getattr(signal.traded, "quote", None)
    price = quote.mark if quote else None
    drift = None
    if price and approval.price:
        sign = -1 if signal.action == "SELL" else 1
        drift = round((price - approval.price) / approval.price * 10_000 * sign, 2)
    shown = signal_json(
        signal, account=signal.connection.name, symbol=signal.traded.symbol, order=None
    )
    return shown | {
        "price": optional_text(approval.price),
        "price_now": optional_text(price),
        "drift_basis_points": optional_text(drift),
        "asked_at": time_text(approval.asked_at),
        "expires_at": time_text(approval.expires_at),
    }


def _waiting(signal_id: int, *, now: datetime) -> tuple[Approval, Signal]:
    """Lock a wait that is still on, and return it with its signal."""
    locks.rows(Approval.objects.filter(signal_id=signal_id))
    approval = (
        Approval.objects.filter(signal_id=signal_id)
        .select_related("signal__client", "signal__connection", "signal__instrument")
        .first()
    )
    if approval is None or approval.outcome != Outcome.WAITING:
        raise NotWaiting("the signal does not wait for approval")
    if approval.expires_at <= now:
        raise NotWaiting("the signal's time for approval is over")
    return approval, approval.signal


def _end_wait(
    approval: Approval,
    signal: Signal,
    order: Order | None,
    outcome: Approval.Outcome,
    status: SignalStatus,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    """Write how a wait ended, with its event and its audit row."""
    approval.outcome, approval.decided_by = outcome, actor
    approval.decided_at, approval.reason = now, reason
    approval.save()
    before, signal.status = signal.status, status.value
    signal.save(update_fields=["status"])
    account, symbol = signal.connection.name, signal.traded.symbol
    shown = signal_json(signal, account=account, symbol=symbol, order=order)
    decision = approval.decision
    verdict = None if decision is None else {"status": decision.status, "checks": decision.checks}
    data = {"signal": shown, "decision": verdict}
    record_event(EventType.SIGNAL, data, account=account, at=now)
    audit.record(
        f"signal_{outcome.value.lower()}",
        actor=actor,
        reason=reason,
        at=now,
        before=before,
        after=signal.status,
        object_id=str(signal.pk),
    )
