"""CPU seconds the vendor's SDK needs for signed orders; run by its own Python, see `signing`.

python -m benchmarks.signing_sdk WARM_UP COUNT
"""

import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from x10.config import TESTNET_CONFIG
from x10.core.stark_account import StarkPerpetualAccount
from x10.models.market import MarketModel
from x10.models.order import OrderSide
from x10.signing.order_object import create_order_object

PUBLIC_KEY = "0x788435d61046d3eec54d77d25bd194525f4fa26ebe6575536bc6f656656b74c"  # of the private key 0x5
FIGURES = (
    "dailyVolume dailyVolumeBase dailyPriceChange dailyLow dailyHigh lastPrice askPrice bidPrice markPrice "
    "indexPrice fundingRate openInterest openInterestBase"
)
MARKET: dict[str, Any] = {
    "name": "BTC-USD",
    "type": "PERPETUAL",
    "assetName": "BTC",
    "assetPrecision": 5,
    "collateralAssetName": "USD",
    "collateralAssetPrecision": 6,
    "active": True,
    "isRfq": False,
    "isOffHours": False,
    "tradingHours": "CONTINUOUS",
    "marketStats": dict.fromkeys(FIGURES.split(), "1") | {"nextFundingRate": 1},
    "tradingConfig": {
        "minOrderSize": "0.0001",
        "minOrderSizeChange": "0.00001",
        "minPriceChange": "1",
        "maxMarketOrderValue": "3000000",
        "maxLimitOrderValue": "15000000",
        "maxPositionValue": "10000000",
        "maxLeverage": "50.00",
        "maxNumOrders": "200",
        "limitPriceCap": "0.05",
        "limitPriceFloor": "0.05",
        "riskFactorConfig": [{"upperBound": "4000000", "riskFactor": "0.02"}],
    },
    "l2Config": {
        "type": "STARKX",
        "collateralId": "0x1",
        "collateralResolution": 1_000_000,
        "syntheticId": "0x4254432d3600000000000000000000",
        "syntheticResolution": 1_000_000,
    },
}


def sign_orders(count: int) -> float:
    """CPU seconds for so many, the same as ours."""
    market = MarketModel.model_validate(MARKET)
    account = StarkPerpetualAccount(10_002, "0x5", PUBLIC_KEY, "unused")
    domain, expires = TESTNET_CONFIG.signing.starknet_domain, datetime.fromtimestamp(1_900_000_000, UTC)
    begun = time.process_time()
    for number in range(1, count + 1):
        order = create_order_object(
            account=account,
            market=market,
            amount_of_synthetic=Decimal(number) / 100_000,
            price=Decimal(40_000 + number),
            side=OrderSide.BUY if number % 2 else OrderSide.SELL,
            starknet_domain=domain,
            expire_time=expires,
            nonce=number,
            taker_fee=Decimal("0.0005"),
        )
        order.to_api_request_json(exclude_none=True)
    return time.process_time() - begun


if __name__ == "__main__":
    sign_orders(int(sys.argv[1]))
    print(sign_orders(int(sys.argv[2])))
