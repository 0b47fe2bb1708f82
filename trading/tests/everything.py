"""One row at least in every table of trading."""

from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core.errors import AstradeError
from trading.domain.limits import HaltScope
from trading.models import (
    Case,
    FundingHour,
    FundingPayment,
    Liquidation,
    Order,
    Position,
    PreparedOrder,
    PreparedWithdrawal,
    ReaderPosition,
    TradingAccount,
    VenueMessage,
    VenueMovement,
    VenueOrder,
    VenueTransfer,
    Withdrawal,
    WithdrawalAddress,
)
from trading.services.adjustments import propose_adjustment
from trading.services.bookings import present_board
from trading.services.due import set_switch
from trading.services.funds import grant_faucet, transfer
from trading.services.halts import HaltTarget, set_halt
from trading.services.positions import close_position
from trading.services.risk_days import open_risk_day
from trading.services.roots import DAY, make_roots
from trading.services.snapshots import take_snapshots
from trading.tests.factories import AT, open_account, place, ref
from trading.tests.twaps import place_twap


def account_with_everything() -> TradingAccount:
    """An account, on a live market, with a row in every table of trading."""
    account = open_account()
    place(account, "1", client_order_id="told-by-the-user")
    close_position(account=ref(account), symbol="BTC-USD")
    place(account, "1")
    with pytest.raises(AstradeError):
        place(account, "999")
    set_switch(account=ref(account), timeout_s=60)
    take_snapshots(AT)
    ReaderPosition.objects.create(name="totals")
    add_margin_rows(account)
    add_venue_rows(account)
    move_money(account)
    set_halt(HaltTarget(HaltScope.VENUE, venue="binance"), reason="drill", actor_id=None, now=AT)
    open_risk_day(account.pk, user_id=account.user_id, now=AT)
    place_twap(account)
    proposer: User = UserFactory.create(is_staff=True)
    for amount in (5, -5):
        propose_adjustment(account_id=account.pk, staff_id=proposer.pk, amount=Decimal(amount), reason="an outage")
    list(make_roots(until=timezone.now() + DAY))
    return account


def move_money(account: TradingAccount) -> None:
    """A transfer to another account of the same user, as if a venue had it too, and a deposit from the faucet."""
    other, board = open_account(user=User.objects.get(pk=account.user_id)), present_board()
    made = transfer(sender=ref(account), to_account=other.uuid, asset=None, amount=Decimal(5), board=board)
    VenueTransfer.objects.create(
        account=account, transfer=made, amount=5, state="unknown", stark_public_key="0x1", nonce=1, signed_at=AT
    )
    grant_faucet(account=ref(account), amount=Decimal(5), board=board)


def add_margin_rows(account: TradingAccount) -> None:
    """A liquidation's step and an hour of funding."""
    position = Position.objects.get(account=account)
    figures = ("quantity", "notional", "fee", "insurance", "equity", "maintenance", "equity_after", "maintenance_after")
    Liquidation.objects.create(
        account=account, market=position.market, orders_cancelled=0, at=AT, **dict.fromkeys(figures, 1)
    )
    FundingPayment.objects.create(
        account=account, position=position, market=position.market, hour=AT, quantity=1, mark=1, rate=1, amount=1, at=AT
    )
    FundingHour.objects.create(market=position.market, hour=AT, rate=1, mark=1)


def add_venue_rows(account: TradingAccount) -> None:
    """How an order stands with a venue, what came from there and isn't placed, and a case."""
    order = Order.objects.filter(account=account).earliest("pk")
    VenueOrder.objects.create(
        order=order, account=account, external_id="sent", stark_public_key="0x1", nonce=1, deadline_at=AT
    )
    PreparedOrder.objects.create(
        account=account,
        stark_public_key="0x1",
        nonce=1,
        hash="0x2",
        fingerprint="f",
        price=1,
        fee_rate=0,
        expires_at=AT,
        submit_before=AT,
    )
    VenueMessage.objects.create(account=account, kind="trade", key="1", body={})
    address = WithdrawalAddress.objects.create(
        user_id=account.user_id, network="testnet", address="0xabc", added_at=AT, usable_at=AT
    )
    withdrawal = Withdrawal.objects.create(
        account=account,
        address=address,
        asset="USD",
        amount=1,
        state="unknown",
        requested_by_id=account.user_id,
        requested_at=AT,
        stark_public_key="0x1",
        nonce=1,
        signed_at=AT,
    )
    add_prepared_withdrawal(withdrawal)
    VenueMovement.objects.create(account=account, movement_id="1", kind="deposit", status="pending", amount=1, at=AT)
    Case.objects.create(account=account, kind=Case.Kind.BALANCE_DIFFERS, subject="USD", figures={"booked": "1"})


def add_prepared_withdrawal(withdrawal: Withdrawal) -> None:
    """What its user signed."""
    PreparedWithdrawal.objects.create(
        account=withdrawal.account,
        stark_public_key="0x1",
        nonce=1,
        hash="0x2",
        fingerprint="f",
        submit_before=AT,
        prepared_at=AT,
        send_before=AT,
        withdrawal=withdrawal,
        signature_r="0x3",
        signature_s="0x4",
    )
