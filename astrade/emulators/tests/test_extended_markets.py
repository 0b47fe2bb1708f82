"""Public reads: what the official client demands is there, and it fits together."""

from decimal import Decimal
from itertools import pairwise

from astrade.core.clock import to_ms
from astrade.emulators.tests.harness import BTC, Harness, code_of, running

# extended-api.md §14
MARKET = {
    "name type assetName assetPrecision collateralAssetName collateralAssetPrecision active isRfq isOffHours",
    "tradingHours marketStats tradingConfig l2Config",
}
STATS = {
    "dailyVolume dailyVolumeBase dailyPriceChange dailyLow dailyHigh lastPrice askPrice bidPrice markPrice",
    "indexPrice fundingRate nextFundingRate openInterest openInterestBase",
}
CONFIG = {
    "minOrderSize minOrderSizeChange minPriceChange maxMarketOrderValue maxLimitOrderValue maxPositionValue",
    "maxLeverage maxNumOrders limitPriceCap limitPriceFloor riskFactorConfig",
}
ASSET = {
    "id name symbol precision isActive isCollateral starkexId starkexResolution l1Id l1Resolution version type",
    "canBeUsedAsCollateral",
}
HOUR_MS = 3_600_000


def words(lines: set[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


async def test_a_market_has_every_field_the_official_client_demands(harness: Harness):
    (market,) = await harness.get("/info/markets", params={"market": BTC})

    assert words(MARKET) <= market.keys()
    assert words(STATS) <= market["marketStats"].keys()
    assert words(CONFIG) <= market["tradingConfig"].keys()
    assert market["l2Config"] == {
        "type": "STARKX",
        "collateralId": "0x1",
        "collateralResolution": 1_000_000,
        "syntheticId": "0x4254432d3600000000000000000000",
        "syntheticResolution": 1_000_000,
    }
    assert market["tradingConfig"]["maxLimitOrderValue"] == "15000000"
    assert market["tradingConfig"]["riskFactorConfig"][0]["upperBound"] == "4000000"
    assert isinstance(market["tradingConfig"]["maxNumOrders"], str)


async def test_public_reads_need_no_key_but_a_user_agent(harness: Harness):
    assert (await harness.http.get("/api/v1/info/settings")).status_code == 200
    nameless = await harness.http.get("/api/v1/info/settings", headers={"User-Agent": ""})
    assert nameless.status_code == 403
    assert code_of(nameless) == 1009


async def test_unknown_markets_and_assets_are_404_with_their_number(harness: Harness):
    for path, code in (
        ("/info/markets?market=NO-USD", 1001),
        ("/info/markets/NO-USD/stats", 1001),
        ("/info/markets/NO-USD/orderbook", 1001),
        ("/info/NO-USD/funding?startTime=0&endTime=1", 1001),
        ("/info/assets/NO/price", 1000),
    ):
        response = await harness.call("GET", path)
        assert (response.status_code, code_of(response)) == (404, code), path


async def test_assets_are_the_collateral_and_each_markets_base(harness: Harness):
    collateral, base = await harness.get("/info/assets")

    assert words(ASSET) <= collateral.keys()
    assert (collateral["id"], collateral["name"], collateral["starkexId"]) == (1, "USD", "0x1")
    assert (base["name"], base["starkexId"]) == ("BTC", "0x4254432d3600000000000000000000")
    assert [asset["name"] for asset in await harness.get("/info/assets?type=SPOT")] == ["USD"]
    assert await harness.get("/info/assets/USD/price") == "1"
    assert Decimal(await harness.get("/info/assets/BTC/price")) == harness.quote.index


async def test_the_book_has_fifty_levels_a_side_best_first(harness: Harness):
    book = await harness.get(f"/info/markets/{BTC}/orderbook")

    bids, asks = ([Decimal(level["price"]) for level in book[side]] for side in ("bid", "ask"))
    assert len(bids) == len(asks) == 50
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


async def test_trades_are_the_last_ones_newest_first(harness: Harness):
    harness.advance(steps=100)

    trades = await harness.get(f"/info/markets/{BTC}/trades")

    assert len(trades) == 50
    assert [trade["i"] for trade in trades] == sorted((trade["i"] for trade in trades), reverse=True)
    assert {trade["S"] for trade in trades} == {"BUY", "SELL"}
    assert trades[0]["m"] == BTC


async def test_longer_candles_are_their_minutes_added_up(harness: Harness):
    harness.advance(1_000, steps=70)
    path = f"/info/candles/{BTC}/trades"

    minutes = await harness.get(path, params={"interval": "PT1M", "limit": 400})
    hours = await harness.get(path, params={"interval": "PT1H", "limit": 3})

    assert [candle["T"] for candle in hours] == sorted((candle["T"] for candle in hours), reverse=True)
    for hour in hours:
        parts = [minute for minute in minutes if hour["T"] <= minute["T"] < hour["T"] + HOUR_MS]
        assert hour["o"] == parts[-1]["o"]
        assert hour["c"] == parts[0]["c"]
        assert Decimal(hour["h"]) == max(Decimal(minute["h"]) for minute in parts)
        assert Decimal(hour["l"]) == min(Decimal(minute["l"]) for minute in parts)
        assert Decimal(hour["v"]) == sum(Decimal(minute["v"]) for minute in parts)
    day = await harness.get(path, params={"interval": "P1D", "limit": 1})
    assert day == await harness.get(path, params={"interval": "PT24H", "limit": 1})


async def test_only_traded_candles_have_a_volume_and_the_end_is_respected(harness: Harness):
    end_ms = to_ms(harness.clock()) - 10 * 60_000
    for kind, has_volume in (("trades", True), ("mark-prices", False), ("index-prices", False)):
        candles = await harness.get(
            f"/info/candles/{BTC}/{kind}", params={"interval": "PT5M", "limit": 2, "endTime": end_ms}
        )
        assert len(candles) == 2
        assert candles[0]["T"] <= end_ms < candles[0]["T"] + 5 * 60_000
        assert ("v" in candles[0]) is has_volume
    refused = await harness.call("GET", f"/info/candles/{BTC}/trades", params={"interval": "PT3M", "limit": 1})
    assert code_of(refused) == 1005


async def test_funding_of_a_day_is_hourly_and_comes_in_pages(harness: Harness):
    now = to_ms(harness.clock())
    window = {"startTime": now - 24 * HOUR_MS, "endTime": now}

    whole = await harness.get(f"/info/{BTC}/funding", params=window)
    page = await harness.call("GET", f"/info/{BTC}/funding", params=window | {"limit": 5})

    assert len(whole) == 23
    assert all(one["T"] - two["T"] == HOUR_MS for one, two in pairwise(whole))
    assert page.json()["data"] == whole[:5]
    cursor = page.json()["pagination"]["cursor"]
    assert await harness.get(f"/info/{BTC}/funding", params=window | {"cursor": cursor}) == whole[5:]


async def test_open_interest_is_what_the_accounts_hold(harness: Harness):
    await harness.take("BUY", "0.5")
    await harness.take("SELL", "0.2", account=harness.second)
    harness.advance(HOUR_MS)

    stats = await harness.get(f"/info/markets/{BTC}/stats")
    now = to_ms(harness.clock())
    window = {"interval": "PT1H", "startTime": 0, "endTime": now}
    samples = await harness.get(f"/info/{BTC}/open-interests", params=window)

    assert stats["openInterestBase"] == "0.7"
    assert [sample["I"] for sample in samples] == ["0.7", "0"]
    assert samples[0]["t"] - samples[1]["t"] == HOUR_MS


async def test_the_same_seed_and_calls_give_the_same_bytes():
    async def bytes_of(seed: int) -> list[bytes]:
        async with running(seed=seed) as harness:
            answers = []
            for path in ("/info/markets", f"/info/markets/{BTC}/orderbook", f"/info/markets/{BTC}/trades"):
                harness.advance(steps=5)
                answers.append((await harness.call("GET", path)).content)
            answers.append((await harness.place()).content)
            await harness.take()
            answers.append((await harness.call("GET", "/user/trades")).content)
            answers.append((await harness.call("GET", "/user/account/info")).content)
            return answers

    assert await bytes_of(5) == await bytes_of(5)
    other = await bytes_of(6)
    assert all(one != two for one, two in zip(await bytes_of(5), other, strict=True))
