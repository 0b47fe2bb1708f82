"""What trading does when accounts announces something; each inside the announcer's transaction."""

from typing import Any

from django.db import transaction
from django.dispatch import receiver

from accounts.signals import user_closing, user_frozen, user_registered, venue_connected, venue_disconnecting
from astrade.core.errors import OpenPositions
from trading.domain.lifecycle import LIVE
from trading.models import Order, Position, TradingAccount, WithdrawalAddress
from trading.selectors import have_open_payments
from trading.services.accounts import open_practice_account
from trading.services.openings import close_live_account, make_live_account
from trading.tasks import cancel_orders_of_frozen_users, sync_live_account


@receiver(user_registered)
def open_first_account(*, user_id: int, **_: Any) -> None:
    """Sign-up and practice account come together or not at all."""
    open_practice_account(user_id=user_id)


@receiver(user_frozen)
def cancel_orders_of_frozen(**_: Any) -> None:
    """After the commit, elsewhere: freezing waits for no order. The task also runs by schedule."""
    transaction.on_commit(lambda: cancel_orders_of_frozen_users.delay(), robust=True)


@receiver(user_closing)
def refuse_closing_with_open_positions(*, user_id: int, **_: Any) -> None:
    """A user is closed only once nothing is open; their accounts close with them."""
    owned = TradingAccount.objects.select_for_update().filter(user_id=user_id).order_by("pk")
    pks = [account.pk for account in owned]
    orders = Order.objects.filter(account_id__in=pks, status__in=sorted(LIVE))
    positions = Position.objects.filter(account_id__in=pks).exclude(quantity=0)
    if orders.exists() or positions.exists() or have_open_payments(pks):
        raise OpenPositions
    WithdrawalAddress.objects.filter(user_id=user_id).update(label="")  # which is the user's own text
    TradingAccount.objects.filter(pk__in=pks).update(state=TradingAccount.State.CLOSED)


@receiver(venue_connected)
def make_account_at_venue(*, user_id: int, credential_id: int, replaces: int | None, **_: Any) -> None:
    """The account comes with the connection; what the venue holds is taken over after the commit, elsewhere."""
    account_id = make_live_account(user_id=user_id, credential_id=credential_id, replaces=replaces)
    transaction.on_commit(lambda: sync_live_account.delay(account_id), robust=True)


@receiver(venue_disconnecting)
def close_account_at_venue(*, user_id: int, credential_id: int, **_: Any) -> None:
    """With its connection an account ends here. Not while it has orders or money on its way: the key ends them."""
    close_live_account(user_id=user_id, credential_id=credential_id)
