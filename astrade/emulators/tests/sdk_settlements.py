"""Whether the vendor's official SDK and we sign random orders alike; run by the SDK's Python, see `sdk_check`."""

import json
import random
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from x10.config import TESTNET_CONFIG
from x10.core.stark_account import StarkPerpetualAccount
from x10.models.order import OrderSide
from x10.signing.order_object import create_order_object

from astrade.core.money import plain

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = TESTNET_CONFIG.signing.starknet_domain
ORDERS_COMPARED = 300


def stark_account(known: dict[str, Any]) -> StarkPerpetualAccount:
    return StarkPerpetualAccount(
        known["vault"], known["stark_private_key"], known["stark_public_key"], known["api_key"]
    )


def compare_settlements(markets: dict[str, Any], accounts: list[dict[str, Any]], *, project_python: str) -> None:
    """The bodies of 300 random orders, with hash, signature and amounts, are the same in both, to the byte.

    But for how the SDK writes a decimal: with the zeros at its end that it was made with.
    """
    dice = random.Random(ORDERS_COMPARED)
    inputs, theirs = [], []
    for _ in range(ORDERS_COMPARED):
        market = markets[dice.choice(sorted(markets))]
        side, known = dice.choice([OrderSide.BUY, OrderSide.SELL]), dice.choice(accounts)
        rules, l2 = market.trading_config, market.l2_config
        quantity = rules.min_order_size_change * dice.randrange(1, 10**6)
        price = rules.min_price_change * dice.randrange(1, 10**6)
        expires = datetime.fromtimestamp(dice.randrange(1_800_000_000_000, 1_900_000_000_000) / 1000, UTC)
        nonce, fee = dice.randrange(2**32), Decimal(dice.randrange(1, 1000)) / 10**6
        order = create_order_object(
            account=stark_account(known),
            market=market,
            amount_of_synthetic=quantity,
            price=price,
            side=side,
            starknet_domain=DOMAIN,
            expire_time=expires,
            nonce=nonce,
            taker_fee=fee,
        )
        body = order.to_api_request_json(exclude_none=True)
        inputs.append(
            {
                "l2": {
                    "synthetic_id": l2.synthetic_id,
                    "synthetic_resolution": l2.synthetic_resolution,
                    "collateral_id": l2.collateral_id,
                },
                "market": market.name,
                "step": str(rules.min_order_size_change),
                "max_position_value": str(rules.max_position_value),
                "private_key": known["stark_private_key"],
                "vault": known["vault"],
                "side": str(side),
                "qty": str(quantity),
                "price": str(price),
                "fee": str(fee),
                "nonce": nonce,
                "expires_ms": order.expiry_epoch_millis,
            }
        )
        theirs.append(body | {name: plain(Decimal(body[name])) for name in ("qty", "price", "fee")})
    command = [project_python, "-m", "astrade.emulators.tests.our_settlements"]
    ran = subprocess.run(command, cwd=ROOT, input=json.dumps(inputs), capture_output=True, text=True, check=True)
    ours = json.loads(ran.stdout)
    assert json.dumps(ours).encode() == json.dumps(theirs).encode()
