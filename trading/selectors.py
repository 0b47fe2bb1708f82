"""Reads of trading: who owns what, and the rows that lists and sockets show."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db.models import CharField, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Cast, Coalesce, Concat, Now

from accounts.models import CredentialState, UserState
from astrade.core.errors import NotFound
from astrade.core.money import ZERO
from astrade.core.permissions import Caller
from trading.domain.bodies import event_frame
from trading.domain.lifecycle import LIVE, LedgerAccount, OrderSource, OrderType
from trading.domain.live import UNANSWERED
from trading.domain.payments import ARRIVES_WITHIN, OPEN, PaymentState
from trading.domain.state import PositionState
from trading.loading import AccountRef, OrderRef
from trading.models import (
    Case,
    Deposit,
    Event,
    Fill,
    JournalEntry,
    Order,
    Position,
    Posting,
    TradingAccount,
    Transfer,
    VenueOrder,
    VenueTransfer,
    Withdrawal,
    WithdrawalAddress,
)

FRAMES_MAX = 1000
OPENING = "faucet:"  # before the account's id: the reference of the entry with its starting balance


def account_ref(caller: Caller, account_uuid: UUID | None = None) -> AccountRef:
    """The account a call acts on: the one named, the one its API key is bound to, else the user's primary one.

    A key bound to one account reaches no other: naming another is NotFound, as for a stranger's. Asks nothing of the
    database unless a bound key names an account.
    """
    if caller.account_id is None:
        return AccountRef(user_id=caller.user_id, account_uuid=account_uuid)
    if account_uuid is not None:
        owned = TradingAccount.objects.filter(pk=caller.account_id, uuid=account_uuid)
        if not owned.exists():
            raise NotFound
    return AccountRef(account_id=caller.account_id)


def accounts_of(caller: Caller) -> QuerySet[TradingAccount]:
    """The accounts the caller reaches, closed ones included."""
    owned = TradingAccount.objects.filter(user_id=caller.user_id)
    return owned if caller.account_id is None else owned.filter(pk=caller.account_id)


def account_by_ref(account: AccountRef) -> TradingAccount:
    """The row of a referenced account; raises NotFound."""
    found = _referenced(account).first()
    if found is None:
        raise NotFound
    return found


def account_id_of(account: AccountRef) -> int | None:
    """The row id of a referenced account, None if there is none."""
    if account.account_id is not None:
        return account.account_id
    return _referenced(account).values_list("pk", flat=True).first()


def _referenced(account: AccountRef) -> QuerySet[TradingAccount]:
    if account.account_id is not None:
        return TradingAccount.objects.filter(pk=account.account_id)
    if account.user_id is None:
        return TradingAccount.objects.none()
    owned = TradingAccount.objects.filter(user_id=account.user_id)
    if account.account_uuid is not None:
        return owned.filter(uuid=account.account_uuid)
    return owned.filter(is_primary=True)


def resolve_account(user_id: int, account_uuid: UUID) -> int | None:
    """The row id of a user's open account, for API keys that are bound to one."""
    owned = TradingAccount.objects.filter(user_id=user_id, uuid=account_uuid)
    return owned.exclude(state=TradingAccount.State.CLOSED).values_list("pk", flat=True).first()


def owned_account(caller: Caller, account_uuid: UUID | None) -> tuple[int, UUID, int]:
    """Row id, UUID and present event sequence of the caller's account (the primary one for None); raises NotFound."""
    account = account_by_ref(account_ref(caller, account_uuid))
    return account.pk, account.uuid, account.sequence


def current_sequences(account_ids: Iterable[int]) -> dict[int, int]:
    """The present event sequence of each account, in one query."""
    rows = TradingAccount.objects.filter(pk__in=list(account_ids)).values_list("pk", "sequence")
    return dict(rows)


def accounts_with_positions(account_ids: Iterable[int]) -> list[int]:
    """Those of the accounts that hold an open position, in one query."""
    held = Position.objects.filter(account_id__in=list(account_ids)).exclude(quantity=0)
    return list(held.order_by("account_id").values_list("account_id", flat=True).distinct())


def accounts_to_clear() -> list[int]:
    """Accounts of frozen users that still have open orders."""
    orders = Order.objects.filter(status__in=sorted(LIVE), account__user__state=UserState.FROZEN)
    return list(orders.order_by("account_id").values_list("account_id", flat=True).distinct())


def opening_reference(account: TradingAccount) -> str:
    """The reference of the entry with an account's starting balance."""
    return f"{OPENING}{account.uuid}"


def as_opened(accounts: QuerySet[TradingAccount]) -> QuerySet[TradingAccount]:
    """The accounts with `initial_balance`, what each was opened with."""
    opening = Posting.objects.filter(
        entry__account=OuterRef("pk"),
        entry__number=1,
        entry__reference=Concat(Value(OPENING), Cast(OuterRef("uuid"), CharField())),
        ledger_account=LedgerAccount.CASH,
    )
    return accounts.annotate(initial_balance=Coalesce(Subquery(opening.values("amount")[:1]), ZERO))


def account_as_opened(account: AccountRef) -> TradingAccount:
    """The row of a referenced account with its `initial_balance`; raises NotFound."""
    found = as_opened(_referenced(account)).first()
    if found is None:
        raise NotFound
    return found


def events_after(account_id: int, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Frames of an account's events with a sequence above `after`, oldest first."""
    columns = ("kind", "sequence", "schema", "at", "data")
    rows = Event.objects.filter(account_id=account_id, sequence__gt=after).order_by("sequence").values(*columns)
    return [event_frame(**row) for row in rows[:limit]]


def event_frames(account_id: int, *, after: int, limit: int = FRAMES_MAX) -> list[tuple[int, bytes]]:
    """The same as sequence and encoded frame, for sockets."""
    return [(frame["sequence"], orjson.dumps(frame)) for frame in events_after(account_id, after=after, limit=limit)]


def orders_of(account_id: int) -> QuerySet[Order]:
    """All orders of an account with their parent and plan; markets are known by id (`markets_by_id`)."""
    return Order.objects.filter(account_id=account_id).select_related("parent", "plan")


def slices_of(order: Order) -> list[Order]:
    """A TWAP order's slices, oldest first; none of another order."""
    if order.type != OrderType.TWAP:
        return []
    return list(order.children.filter(source=OrderSource.TWAP).order_by("id"))


def fills_of_order(order: Order) -> QuerySet[Fill]:
    """An order's fills, oldest first; a TWAP order's are those of its slices."""
    owned = Q(order=order)
    if order.type == OrderType.TWAP:
        owned = Q(order__parent=order, order__source=OrderSource.TWAP)
    return Fill.objects.filter(owned).select_related("order").order_by("id")


def fills_by_order(order: UUID) -> QuerySet[Fill]:
    """The fills of the order with this UUID, oldest first."""
    return Fill.objects.filter(order__uuid=order).order_by("id")


def order_by_ref(account: AccountRef, order: OrderRef) -> Order:
    """The row of an account's order, in one query; raises NotFound."""
    column, value = order.column_and_value()
    found = Order.objects.filter(account__in=_referenced(account), **{column: value}).first()
    if found is None:
        raise NotFound
    return found


def open_orders(account_id: int) -> QuerySet[Order]:
    """Orders something can still become of."""
    return orders_of(account_id).filter(status__in=sorted(LIVE))


def past_orders(account_id: int) -> QuerySet[Order]:
    """Orders that ended."""
    return orders_of(account_id).exclude(status__in=sorted(LIVE))


def fills_of(account_id: int) -> QuerySet[Fill]:
    """An account's fills with their orders."""
    return Fill.objects.filter(account_id=account_id).select_related("order")


def entries_of(account_id: int) -> QuerySet[JournalEntry]:
    """An account's journal entries, one cash line each."""
    return JournalEntry.objects.filter(account_id=account_id)


def cash_postings(entries: Sequence[JournalEntry]) -> dict[int, Posting]:
    """The cash line of each entry by entry id, in one query."""
    found = Posting.objects.filter(entry__in=entries, ledger_account=LedgerAccount.CASH)
    return {posting.entry_id: posting for posting in found}


def transfers_of(account_ids: Sequence[int]) -> QuerySet[Transfer]:
    """Transfers with one of the accounts at either end, with both, and what became of them at a venue."""
    either = Q(from_account_id__in=account_ids) | Q(to_account_id__in=account_ids)
    return Transfer.objects.filter(either).select_related("from_account", "to_account", "at_venue")


def deposits_of(account_ids: Sequence[int]) -> QuerySet[Deposit]:
    """Deposits on the accounts, each with its account."""
    return Deposit.objects.filter(account_id__in=account_ids).select_related("account")


def withdrawals_of(account_ids: Sequence[int]) -> QuerySet[Withdrawal]:
    """Withdrawals from the accounts, each with its account and address."""
    return Withdrawal.objects.filter(account_id__in=account_ids).select_related("account", "address")


def have_open_payments(account_ids: Iterable[int]) -> bool:
    """Whether money of one of the accounts is on its way: a withdrawal or a transfer that has not ended, or a transfer
    to it that left a while ago and has not arrived.
    """
    pks = list(account_ids)
    if Withdrawal.objects.filter(account_id__in=pks, state__in=sorted(OPEN)).exists():
        return True
    either = Q(account_id__in=pks) | Q(transfer__to_account_id__in=pks)
    coming = Q(state=PaymentState.SETTLED, arrival__entry=None, deadline_at__gt=Now() - ARRIVES_WITHIN)
    return VenueTransfer.objects.filter(either, Q(state__in=sorted(OPEN)) | coming).exists()


def withdrawal_addresses_of(user_id: int) -> QuerySet[WithdrawalAddress]:
    """Where a user's withdrawals may go; removed ones are left out."""
    return WithdrawalAddress.objects.filter(user_id=user_id, removed_at=None)


def faucet_granted(user_id: int, *, since: datetime) -> Decimal:
    """What a user got from the faucet since then, over all their accounts."""
    found = Deposit.objects.filter(account__user_id=user_id, source=Deposit.Source.FAUCET, at__gte=since)
    total: Decimal | None = found.aggregate(total=Sum("amount"))["total"]
    return ZERO if total is None else total


def signing_of(account_id: int) -> tuple[str | None, str]:
    """The public key that the account's orders are signed for (None where it isn't connected), and who signs them."""
    connected = TradingAccount.objects.filter(pk=account_id, credential__state=CredentialState.ACTIVE)
    found = connected.values_list("credential__stark_key__public_key", "credential__signing").first()
    return found or (None, "")


def connected_accounts() -> QuerySet[TradingAccount]:
    """Accounts that are connected to a venue."""
    connected = TradingAccount.objects.filter(credential__state=CredentialState.ACTIVE)
    return connected.exclude(state=TradingAccount.State.CLOSED)


def accounts_to_sync(*, since: datetime, at_most: int) -> list[int]:
    """Those that were not synced since, the longest waiting first."""
    due = connected_accounts().filter(Q(synced_at__isnull=True) | Q(synced_at__lt=since))
    return list(due.order_by(F("synced_at").asc(nulls_first=True)).values_list("pk", flat=True)[:at_most])


def unanswered_orders(*, at_most: int = 50) -> list[tuple[int, int]]:
    """Account and order of what was sent to a venue and is not known to have arrived, its deadline over; those first
    that were looked for the longest ago.
    """
    waiting = Order.objects.filter(status__in=sorted(UNANSWERED), at_venue__deadline_at__lte=Now())
    longest_ago = F("at_venue__last_lookup_at").asc(nulls_first=True)
    return list(waiting.order_by(longest_ago, "pk").values_list("account_id", "pk")[:at_most])


def lost_protection(account_id: int, position: PositionState) -> Order | None:
    """The newest order at a venue that protected this position, or brought along what should, where none does any more
    and nobody here wished that; None if all is as it should be, or somebody has been told.
    """
    of_market = Order.objects.filter(account_id=account_id, market_id=position.market_id)
    protective = Q(role__isnull=False)
    if position.opened_at is None or of_market.filter(protective, status__in=sorted(LIVE)).exists():
        return None
    bare_entry = Q(filled_quantity__gt=0, children=None) & (Q(stop_loss__isnull=False) | Q(take_profit__isnull=False))
    since = of_market.filter(updated_at__gte=position.opened_at).exclude(status__in=sorted(LIVE))
    last = since.filter(protective | bare_entry).order_by("-pk").first()
    wished = last is not None and VenueOrder.objects.filter(order=last, cancel_requested_at__isnull=False).exists()
    known = last is not None and Case.objects.filter(kind=Case.Kind.PROTECTION_LOST, subject=str(last.uuid)).exists()
    return None if wished or known else last
