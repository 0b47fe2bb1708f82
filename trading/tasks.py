"""Trading's scheduled work. Every task may run twice or be killed half-way: what it did stays, the rest is
done next time.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial

from celery import shared_task
from django.db import transaction
from prometheus_client import Gauge

from astrade.core.clock import system_clock
from astrade.venues.errors import Unavailable, VenueError
from trading.loading import AccountRef
from trading.models import VenueTransfer, Withdrawal
from trading.selectors import accounts_to_clear, accounts_to_sync, unanswered_orders
from trading.services import funding
from trading.services.live_transfers import follow_transfer, transfers_to_follow
from trading.services.orders import cancel_orders
from trading.services.payment_sending import payments_to_send, resolve_payment, send_payment, unanswered_payments
from trading.services.payments import P
from trading.services.reconciling import resolve_order, sync_account
from trading.services.roots import check_roots, make_roots, settled_moment
from trading.services.snapshots import take_snapshots
from trading.services.venue_orders import reason_of
from trading.totals import add_next_totals
from trading.verification import LEDGER_FINDINGS, verify_ledger

logger = logging.getLogger(__name__)
SNAPSHOT_EVERY = timedelta(minutes=5)
BATCHES_MAX = 200
SYNC_EVERY = timedelta(minutes=5)
SYNCED_AT_ONCE = 10  # every 15 s: some 400 calls a minute
SYNC_EXPIRES_S = 15.0
RESOLVE_EXPIRES_S = 5.0
AWAY_AT_MOST = 3  # accounts that a venue didn't answer for: it is away
SETTLED_WITHIN_S = 30.0
ROOTS_CHECKED = 7
ROOT_FINDINGS = Gauge(
    "astrade_balance_root_findings", "What the last check of balance roots found wrong", multiprocess_mode="mostrecent"
)


@shared_task
def take_equity_snapshots() -> None:
    """Store every account's equity at the present moment of the five-minute grid."""
    now = system_clock()
    at = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % SNAPSHOT_EVERY
    take_snapshots(at)


@shared_task
def settle_funding() -> None:
    """Book the funding of every hour that is over and whose rate is known."""
    settled = funding.settle_funding(now=system_clock())
    if settled.hours:
        logger.info("funding_settled", extra={"hours": settled.hours, "payments": settled.payments})


@shared_task
def sweep_events() -> None:
    """Bring the users' totals up to date with the events."""
    for _ in range(BATCHES_MAX):
        if not add_next_totals():
            return


@shared_task
def cancel_orders_of_frozen_users() -> None:
    """Cancel what users left open when they were frozen."""
    for account_id in accounts_to_clear():
        cancelled = cancel_orders(account=AccountRef(account_id=account_id), reason="user_frozen")
        logger.info("orders_of_frozen_user_cancelled", extra={"account": account_id, "orders": len(cancelled)})


@shared_task(expires=RESOLVE_EXPIRES_S)
def resolve_unanswered_orders() -> None:
    """Ask venues for orders whose answer was lost. One that can't be asked for now is asked for the next time, and with
    it the rest where that happens on several accounts.
    """
    away: set[int] = set()
    for account_id, order_id in unanswered_orders():
        if account_id in away or len(away) >= AWAY_AT_MOST:
            continue
        try:
            resolve_order(account_id, order_id)
        except VenueError as error:
            logger.warning("order_not_resolved", extra={"order": order_id, "reason": reason_of(error)})
            if isinstance(error, Unavailable):
                away.add(account_id)


@shared_task(expires=RESOLVE_EXPIRES_S)
def move_withdrawals() -> None:
    """Send the withdrawals that wait, and look for those whose answer was lost."""
    _send_waiting(Withdrawal)
    _ask_each(partial(resolve_payment, Withdrawal), unanswered_payments(Withdrawal, now=system_clock()))


@shared_task(expires=RESOLVE_EXPIRES_S)
def move_transfers() -> None:
    """The same for transfers between live accounts; those that the venue has are followed until they have arrived."""
    _send_waiting(VenueTransfer)
    _ask_each(partial(resolve_payment, VenueTransfer), unanswered_payments(VenueTransfer, now=system_clock()))
    _ask_each(follow_transfer, transfers_to_follow(now=system_clock()))


def _send_waiting(model: type[P]) -> None:
    for payment_id in payments_to_send(model):
        try:
            send_payment(model, payment_id)
        except Exception:  # whatever is wrong with one keeps none of the others
            logger.exception("payment_not_sent", extra={"kind": model.kind, "payment": payment_id})


def _ask_each(ask: Callable[[int], None], payment_ids: Iterable[int]) -> None:
    """What a venue that is away can't be asked for now is asked for the next time."""
    away = 0
    for payment_id in payment_ids:
        try:
            ask(payment_id)
        except VenueError as error:
            logger.warning("payment_not_resolved", extra={"payment": payment_id, "reason": reason_of(error)})
            away += isinstance(error, Unavailable)
        if away >= AWAY_AT_MOST:
            return


@shared_task
def sync_live_accounts() -> None:
    """Have connected accounts brought up to what their venue knows, each every five minutes: their streams tell them
    sooner, and what a venue lets us ask is for all.
    """
    for account_id in accounts_to_sync(since=system_clock() - SYNC_EVERY, at_most=SYNCED_AT_ONCE):
        sync_live_account.delay(account_id)


@shared_task(expires=SYNC_EXPIRES_S)
def sync_live_account(account_id: int) -> None:
    """Bring one account up to what its venue knows; a venue that is away is asked the next time."""
    try:
        sync_account(account_id)
    except VenueError as error:
        logger.warning("account_not_synced", extra={"account": account_id, "reason": reason_of(error)})


@shared_task
def make_balance_roots() -> None:
    """Make the balance roots of all midnights that have none; nothing while a transaction from before goes on."""
    until = settled_moment(within_s=SETTLED_WITHIN_S)
    if until is None:
        logger.warning("balance_roots_wait_for_a_transaction")
        return
    for root in make_roots(until=until):
        logger.info("balance_root_made", extra={"root": root.number, "accounts": root.accounts})


@shared_task
def check_balance_roots() -> None:
    """Make the latest roots again from the ledger, and raise the alarm in log and metrics where one differs."""
    findings = [finding for _, found in check_roots(last=ROOTS_CHECKED) for finding in found]
    ROOT_FINDINGS.set(len(findings))
    for finding in findings:
        logger.error("balance_root_finding", extra={"where": finding})


@shared_task
def check_ledger() -> None:
    """Check the whole ledger and raise the alarm in log and metrics if it does not hold."""
    with transaction.atomic():
        findings = [finding for _, found in verify_ledger() for finding in found]
    LEDGER_FINDINGS.set(len(findings))
    for finding in findings:
        logger.error("ledger_finding", extra={"check": finding.check, "where": finding.where})
