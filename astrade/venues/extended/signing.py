"""What Extended's settlement signs: orders, transfers, withdrawals (reference/extended-api.md §11). Keeps no key.

    message = order_message(l2=l2, buys=True, quantity=…, price=…, fee_rate=…, vault=…, nonce=…, expires_ms=…)
    digest = hash_of(message, public_key=public_key_of(key), domain=TESTNET)
    signature = sign(key, digest)                    the same bytes for the same message, whoever signs
    verifies(public_key, digest, signature)          False for whatever is not a signature

Amounts are exact integers of the asset's resolution. Everything is held against its range before the native library
sees it: what that library does not expect makes it panic, which `except Exception` does not catch.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, Inexact, InvalidOperation, Overflow
from functools import lru_cache

import fast_stark_crypto as stark

CURVE_ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
FIELD = 2**251 + 17 * 2**192 + 1
HASH_BELOW = R_BELOW = S_BELOW = 2**251
_CURVE_BETA = 3141592653589793238462643383279502884197169399375105820974944592307816406665
NONCE_MAX = 2**31 - 1  # the documentation's limit; the SDK draws up to 2**32 - 1
ORDER_SETTLES_WITHIN_S = 14 * 86_400  # after the order's own expiry
POSITION_LEG_FACTOR = 50  # a leg over a whole position is signed for so many times the largest position
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])
_DIGITS_MAX = 20  # 2**64 has as many


class Unsignable(ValueError):
    """A value that the settlement has no room for; the message names it."""


@dataclass(frozen=True, slots=True)
class StarknetDomain:
    """What a signature is for: one signed for the testnet is none on the mainnet."""

    name: str
    version: str
    chain_id: str
    revision: str


TESTNET = StarknetDomain("Perpetuals", "v0", "SN_SEPOLIA", "1")
MAINNET = StarknetDomain("Perpetuals", "v0", "SN_MAIN", "1")


@dataclass(frozen=True, slots=True)
class L2Config:
    """A market's assets in the settlement, as `/info/markets` tells them: ids as integers, units of one asset."""

    synthetic_id: int
    synthetic_resolution: int
    collateral_id: int
    collateral_resolution: int


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """An order, or a leg of one; base and quote are signed by direction, `expiration_s` is the settlement's."""

    position_id: int
    base_asset_id: int
    base_amount: int
    quote_asset_id: int
    quote_amount: int
    fee_asset_id: int
    fee_amount: int
    expiration_s: int
    salt: int


@dataclass(frozen=True, slots=True)
class TransferMessage:
    """Collateral from one vault to another, in the collateral's resolution."""

    recipient_position_id: int
    sender_position_id: int
    collateral_id: int
    amount: int
    expiration_s: int
    salt: int


@dataclass(frozen=True, slots=True)
class WithdrawalMessage:
    """Collateral from a vault to a Starknet address."""

    recipient: int
    position_id: int
    collateral_id: int
    amount: int
    expiration_s: int
    salt: int


@dataclass(frozen=True, slots=True)
class Signature:
    """ECDSA on the Stark curve. No unique name of anything: (r, N - s) verifies too."""

    r: int
    s: int


Message = OrderMessage | TransferMessage | WithdrawalMessage
_BITS = {
    "position_id": (0, 2**32),
    "recipient_position_id": (0, 2**32),
    "sender_position_id": (0, 2**32),
    "base_amount": (-(2**63), 2**63),
    "quote_amount": (-(2**63), 2**63),
    "fee_amount": (0, 2**64),
    "amount": (0, 2**64),
    "expiration_s": (0, 2**64),
    "salt": (0, 2**64),
}
_HASHES: dict[type[Message], Callable[..., int]] = {
    OrderMessage: stark.get_order_msg_hash,
    TransferMessage: stark.get_transfer_msg_hash,
    WithdrawalMessage: lambda recipient, *others: stark.get_withdrawal_msg_hash(hex(recipient), *others),
}

_RANGES = {kind: tuple(_BITS.get(name, (0, FIELD)) for name in kind.__slots__) for kind in _HASHES}


def order_message(
    *,
    l2: L2Config,
    buys: bool,
    quantity: Decimal,
    price: Decimal,
    fee_rate: Decimal,
    vault: int,
    nonce: int,
    expires_ms: int,
) -> OrderMessage:
    """The integers of an order (§11.4): what is bought and paid rounded up, what is sold and received down, the fee up
    and from the exact notional. `fee_rate` includes a builder's share. Raises Unsignable.
    """
    rounding = ROUND_CEILING if buys else ROUND_FLOOR
    sign = 1 if buys else -1
    notional = _times(quantity, price)
    return OrderMessage(
        position_id=vault,
        base_asset_id=l2.synthetic_id,
        base_amount=sign * scaled(quantity, l2.synthetic_resolution, rounding=rounding),
        quote_asset_id=l2.collateral_id,
        quote_amount=-sign * scaled(notional, l2.collateral_resolution, rounding=rounding),
        fee_asset_id=l2.collateral_id,
        fee_amount=scaled(_times(fee_rate, notional), l2.collateral_resolution, rounding=ROUND_CEILING),
        expiration_s=settlement_expiration_s(expires_ms),
        salt=nonce,
    )


def scaled(value: Decimal, resolution: int, *, rounding: str) -> int:
    """An amount in units of `resolution`, a whole one after `rounding`."""
    units = _times(value, Decimal(resolution))
    if units.adjusted() > _DIGITS_MAX:
        raise Unsignable("an amount is too large to be signed")
    return int(units.to_integral_value(rounding))


def settlement_expiration_s(expires_ms: int) -> int:
    """The expiry that is signed for an order that ends at `expires_ms` (§11.5)."""
    return -(-expires_ms // 1000) + ORDER_SETTLES_WITHIN_S


def position_leg_quantity(*, max_position_value: Decimal, price: Decimal, step: Decimal) -> Decimal:
    """For how much a take profit or stop loss of a whole position is signed, so that it covers any later size (§11.6).

    With as many decimals as the step has, and for steps of 10 and more with as many as it has zeros: the SDK's quirk.
    """
    is_power_of_ten = step.normalize().as_tuple().digits == (1,)
    decimals = abs(step.adjusted() + (0 if is_power_of_ten else 1))  # |ceil(log10(step))|
    return (max_position_value * POSITION_LEG_FACTOR / price).quantize(Decimal(1).scaleb(-decimals), ROUND_FLOOR)


def hash_of(message: Message, *, public_key: int, domain: StarknetDomain) -> int:
    """What is signed: the message under its domain, by that key. Raises Unsignable."""
    kind = type(message)
    values = [getattr(message, name) for name in kind.__slots__]
    for name, value, (low, below) in zip(kind.__slots__, values, _RANGES[kind], strict=True):
        if not low <= value < below:
            raise Unsignable(f"{name} is {value}, the settlement holds {low} to {below - 1}")
    if not is_public_key(public_key):
        raise Unsignable("the public key is no point of the curve")
    under = domain.name, domain.version, domain.chain_id, domain.revision
    return _HASHES[kind](*values, public_key, *under)


def registration_hash(*, wallet: int, public_key: int) -> int:
    """What a Stark key signs to be registered for a wallet (§13): Pedersen of the address and the key."""
    return stark.pedersen_hash(wallet, public_key)


def sign(private_key: int, message_hash: int) -> Signature:
    """Deterministic (RFC 6979). Raises Unsignable for a key outside the curve's order or a hash that isn't one."""
    check_private_key(private_key)
    if not 0 < message_hash < HASH_BELOW:
        raise Unsignable("the hash is not between 1 and 2**251")
    return Signature(*stark.sign(private_key, message_hash))


def verifies(public_key: int, message_hash: int, signature: Signature) -> bool:
    """Whether the owner of `public_key` signed `message_hash`; any integers may be asked about.

    Found by trying: the library panics for a key off the curve, and unless r, s and the inverse of s lie below 2**251,
    which of honest signatures one in 2**55 doesn't. A hash of 0 could be signed for anybody.
    """
    r, s = signature.r, signature.s
    in_range = 0 < message_hash < HASH_BELOW and 1 <= r < R_BELOW and 1 <= s < S_BELOW
    if not in_range or pow(s, -1, CURVE_ORDER) >= S_BELOW or not is_public_key(public_key):
        return False
    return stark.verify(public_key, message_hash, r, s)


@lru_cache(maxsize=4096)
def is_public_key(value: int) -> bool:
    """Whether a point of the curve has this x coordinate (Euler's criterion)."""
    if not 0 < value < FIELD:
        return False
    y_squared = (value**3 + value + _CURVE_BETA) % FIELD
    return pow(y_squared, (FIELD - 1) // 2, FIELD) in (0, 1)


def public_key_of(private_key: int) -> int:
    """The x coordinate of the key's point. Raises Unsignable for a key outside the curve's order."""
    check_private_key(private_key)
    return stark.get_public_key(private_key)


def new_private_key() -> int:
    """A private key from the system's randomness, uniform over the curve's order."""
    return 1 + secrets.randbelow(CURVE_ORDER - 1)


def check_private_key(private_key: int) -> None:
    """Raise Unsignable, without the value, unless it is a private key."""
    if not 0 < private_key < CURVE_ORDER:
        raise Unsignable("a private key lies between 1 and the curve's order")


def _times(one: Decimal, other: Decimal) -> Decimal:
    try:
        if one.is_finite() and other.is_finite():
            return _EXACT.multiply(one, other)
        raise Unsignable("an amount is not a number")
    except (Inexact, InvalidOperation, Overflow) as exc:
        raise Unsignable("an amount has more digits than can be signed exactly") from exc
