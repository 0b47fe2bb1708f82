"""Whether an order and its legs are signed by the account they are for (extended-api.md §11.3 to §11.6, §14).

The messages are made again from the body's own values: what the client says it signed is never trusted.
"""

from decimal import Decimal

from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.markets import Instrument
from astrade.emulators.extended.orders import TpslType
from astrade.emulators.extended.refusals import Code, Refused
from astrade.emulators.extended.requests import LegRequest, OrderRequest, Settlement, invalid
from astrade.venues.extended.signing import (
    TESTNET,
    Message,
    Signature,
    Unsignable,
    hash_of,
    order_message,
    position_leg_quantity,
    verifies,
)
from trading.domain.lifecycle import Side

NONCE_BELOW = 2**32  # as the SDK draws them; the documentation says 2³¹


def check_order_signatures(request: OrderRequest, *, account: Account, instrument: Instrument) -> None:
    """Raises Refused: 1100 for another key, 1102 for another vault, 1101 for a signature that isn't one."""
    if not 0 <= request.nonce < NONCE_BELOW:
        raise invalid("nonce is out of range")
    if request.settlement is not None:
        _check(request, request.settlement, request.side, request.quantity, request.price, account, instrument)
    for leg in request.legs:
        quantity = _leg_quantity(request, leg, instrument)
        _check(request, leg.settlement, request.leg_side, quantity, leg.leg.price, account, instrument)


def message_hash(public_key: int, message: Message) -> int | None:
    """What the testnet's settlement hashes it to; None for values it has no room for."""
    try:
        return hash_of(message, public_key=public_key, domain=TESTNET)
    except Unsignable:
        return None


def check_signature(public_key: int, message: Message, signature: Signature) -> None:
    """Raises Refused 1101 unless the key's owner signed the message for the testnet."""
    digest = message_hash(public_key, message)
    if digest is None:
        raise Refused(Code.INVALID_STARKNET_SIGNATURE, "the settlement has no room for a value")
    if not verifies(public_key, digest, signature):
        raise Refused(Code.INVALID_STARKNET_SIGNATURE, f"hash {digest:#x}")


def _check(
    request: OrderRequest,
    settlement: Settlement,
    side: Side,
    quantity: Decimal,
    price: Decimal,
    account: Account,
    instrument: Instrument,
) -> None:
    if settlement.stark_key != account.public_key:
        raise Refused(Code.INVALID_STARKNET_PUBLIC_KEY)
    if settlement.vault != account.vault:
        raise Refused(Code.INVALID_STARKNET_VAULT)
    try:
        message = order_message(
            l2=instrument.l2,
            buys=side is Side.BUY,
            quantity=quantity,
            price=price,
            fee_rate=request.fee_rate + request.builder_rate,
            vault=settlement.vault,
            nonce=request.nonce,
            expires_ms=request.expires_ms,
        )
    except Unsignable as exc:
        raise Refused(Code.INVALID_STARKNET_SIGNATURE, str(exc)) from exc
    check_signature(account.public_key, message, settlement.signature)


def _leg_quantity(request: OrderRequest, leg: LegRequest, instrument: Instrument) -> Decimal:
    if request.tpsl_type is not TpslType.POSITION:
        return request.quantity
    return position_leg_quantity(
        max_position_value=instrument.max_position_value, price=leg.leg.price, step=instrument.rules.step_size
    )
