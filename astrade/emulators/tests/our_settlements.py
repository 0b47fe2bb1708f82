"""Signs orders given as JSON on standard input and prints their bodies: our half of the comparison with the SDK."""

import json
import sys
from decimal import Decimal
from typing import Any

from astrade.venues.extended.orders import unsigned_order
from astrade.venues.extended.signing import TESTNET, L2Config, public_key_of, sign
from astrade.venues.extended.tickets import Signer, Terms, Ticket
from astrade.venues.extended.wire import OrderType, Side


def body(order: dict[str, Any]) -> dict[str, Any]:
    """What is posted for one order."""
    l2, key = order["l2"], int(order["private_key"], 16)
    config = L2Config(int(l2["synthetic_id"], 16), l2["synthetic_resolution"], int(l2["collateral_id"], 16), 10**6)
    ticket = Ticket(
        terms=Terms(order["market"], config, Decimal(order["step"]), Decimal(order["max_position_value"])),
        signer=Signer(order["vault"], public_key_of(key), TESTNET),
        type=OrderType.LIMIT,
        side=Side(order["side"]),
        quantity=Decimal(order["qty"]),
        price=Decimal(order["price"]),
        fee_rate=Decimal(order["fee"]),
        expires_ms=order["expires_ms"],
        nonce=order["nonce"],
    )
    unsigned = unsigned_order(ticket)
    return unsigned.body([sign(key, digest) for digest in unsigned.hashes])


if __name__ == "__main__":
    json.dump([body(order) for order in json.load(sys.stdin)], sys.stdout)
