"""Withdrawals for their users to sign: decided as if they were asked for, kept with all that is signed.

body = prepare_withdrawal(account=…, address=…, …)            values and hash; nothing is held or sent
request_withdrawal(…, signed=Signed(prepared, signature))     the same withdrawal, within a minute

What was signed can be sent for a day (`send_before`): one that waits longer for its approval fails.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from accounts.models import Signing
from astrade.core.clock import system_clock, to_ms
from astrade.core.money import plain
from trading import selectors
from trading.domain.batch import Batch
from trading.domain.margin import Board
from trading.loading import AccountRef, read_account
from trading.models import PreparedWithdrawal, Withdrawal
from trading.models.base import ROW_ID_BLOCK
from trading.services.preparing import SUBMITTED_WITHIN, keep_prepared, signing_body
from trading.services.signed_withdrawals import fingerprint_of
from trading.services.venue_orders import new_nonce
from trading.services.withdrawals import admitted, check_connection, check_shape
from trading.venues.base import OutgoingWithdrawal, SigningRequest
from trading.venues.choice import venue_account


def prepare_withdrawal(
    *,
    account: AccountRef,
    address: uuid.UUID,
    amount: Decimal,
    asset: str | None,
    board: Board,
    draw: Callable[[], int] = new_nonce,
) -> dict[str, Any]:
    """What the user signs for a withdrawal, as it would be taken now; raises the refusal that it would get, but for the
    second factor, which is spent when it is asked for. Each call takes another nonce. Call it outside any transaction.
    """
    row = selectors.account_by_ref(account)
    check_shape(row, amount=amount, asset=asset)
    public_key = check_connection(row, by=Signing.USER_SIGNED)
    draft = Batch(
        read_account(AccountRef(account_id=row.pk)), now=system_clock(), new_uuid=uuid.uuid4, row_ids=ROW_ID_BLOCK
    )
    wanted = admitted(draft, row, address=address, amount=amount, board=board)
    funds = venue_account(row.pk).funds
    prepared = PreparedWithdrawal(
        account=row,
        stark_public_key=public_key,
        fingerprint=fingerprint_of(wanted),
        submit_before=draft.now + SUBMITTED_WITHIN,
        prepared_at=draft.now,
        send_before=funds.sendable_before(draft.now),
    )
    outgoing = OutgoingWithdrawal(
        recipient=int(wanted.address.address, 16), amount=amount, nonce=0, signed_at=draft.now
    )
    to_sign = keep_prepared(
        prepared,
        lambda nonce: funds.to_sign(replace(outgoing, nonce=nonce)),
        signed_before=Withdrawal.objects.all(),
        draw=draw,
    )
    return _body(prepared, wanted, to_sign)


def _body(row: PreparedWithdrawal, wanted: Withdrawal, to_sign: SigningRequest) -> dict[str, Any]:
    return signing_body(row, to_sign) | {
        "account": row.account.uuid,
        "address_id": wanted.address.uuid,
        "address": wanted.address.address,
        "asset": wanted.asset,
        "amount": plain(wanted.amount),
        "status": wanted.state,
        "send_before": to_ms(row.send_before),
    }
