"""Signs orders given as JSON on standard input and prints what was signed: our half of the comparison with the SDK."""

import json
import sys
from decimal import Decimal
from typing import Any

from astrade.venues.extended.signing import TESTNET, L2Config, hash_of, order_message, public_key_of, sign


def settlement(order: dict[str, Any]) -> dict[str, Any]:
    """Hash, signature and amounts of one order."""
    l2, key = order["l2"], int(order["private_key"], 16)
    message = order_message(
        l2=L2Config(int(l2["synthetic_id"], 16), l2["synthetic_resolution"], int(l2["collateral_id"], 16), 10**6),
        buys=order["side"] == "BUY",
        quantity=Decimal(order["qty"]),
        price=Decimal(order["price"]),
        fee_rate=Decimal(order["fee"]),
        vault=order["vault"],
        nonce=order["nonce"],
        expires_ms=order["expires_ms"],
    )
    digest = hash_of(message, public_key=public_key_of(key), domain=TESTNET)
    signature = sign(key, digest)
    return {
        "id": str(digest),
        "r": hex(signature.r),
        "s": hex(signature.s),
        "stark_key": hex(public_key_of(key)),
        "amounts": [str(message.base_amount), str(message.quote_amount), str(message.fee_amount)],
    }


if __name__ == "__main__":
    json.dump([settlement(order) for order in json.load(sys.stdin)], sys.stdout)
