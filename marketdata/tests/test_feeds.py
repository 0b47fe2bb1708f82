"""Synthetic and replayed feeds: the same inputs give the same stream, and what they say is always a possible market."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrade.core.messages import BookSnapshot, FundingUpdate, Message, Quote, TradeTick
from astrade.core.money import is_multiple
from marketdata.feeds.backfill import MINUTES, made_up_day
from marketdata.feeds.base import Start
from marketdata.feeds.depth import LEVELS
from marketdata.feeds.funding import HOURLY_CAP, HOURLY_INTEREST, FundingClock
from marketdata.feeds.library import market_of, parse_map, recordings_in
from marketdata.feeds.recordings import Recording, UnreadableRecording, record_of
from marketdata.feeds.replay import Played, ReplayFeed
from marketdata.feeds.synthetic import SyntheticFeed
from marketdata.selectors import MarketInfo
from marketdata.timeframes import HOUR_MS, MINUTE_MS

T0 = 1_767_225_600_000_000
STEP_US = 250_000


def info(
    symbol: str = "BTC-USD", *, tick: str = "1", step: str = "0.00001", price: str = "50000", kind: str = "perpetual"
) -> MarketInfo:
    zero = Decimal(0)
    return MarketInfo(
        id=1,
        rules_id=1,
        uuid=UUID(int=1),
        venue="extended",
        symbol=symbol,
        aliases=(),
        name=symbol,
        base=symbol.split("-")[0],
        quote="USD",
        type=kind,
        status="active",
        tick_size=Decimal(tick),
        step_size=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(10**6),
        max_leverage=50,
        maker_fee_rate=zero,
        taker_fee_rate=zero,
        maintenance_margin_rate=zero,
        spread=Decimal("0.0001"),
        slippage_factor=Decimal(1),
        price_band=Decimal("0.05"),
        max_position_notional=None,
        reference_price=Decimal(price),
        synthetic_asset_id=None,
        synthetic_resolution=None,
        collateral_asset_id=None,
        collateral_resolution=None,
    )


MARKETS = [
    info(),
    info("ETH-USD", tick="0.1", step="0.001", price="2300"),
    info("EURUSD", tick="0.00001", step="1", price="1.15", kind="fx"),
]


def synthetic(seed: int = 1, markets: Sequence[MarketInfo] = MARKETS) -> SyntheticFeed:
    return SyntheticFeed(markets, {m.symbol: Start(m.reference_price, 10, 20) for m in markets}, seed=seed)


def played(recording: Recording, market: MarketInfo, *, speed: int = 1) -> ReplayFeed:
    return ReplayFeed([Played(market, recording, Start(recording.first_price, 10, 20), T0)], speed=speed, seed=1)


def stream(feed: SyntheticFeed | ReplayFeed, steps: int, *, step_us: int = STEP_US) -> list[Message]:
    return [message for number in range(steps) for message in feed.step(T0 + number * step_us)]


def check(messages: list[Message], markets: Sequence[MarketInfo]) -> None:
    """Every message is on the grid, uncrossed, positive, and numbered without a step back."""
    rules, sequences, trades = {m.symbol: m for m in markets}, dict[str, int](), dict[str, int]()
    for message in messages:
        market = rules[message.symbol]
        match message:
            case BookSnapshot():
                assert message.sequence == sequences.get(message.symbol, 10) + 1
                sequences[message.symbol] = message.sequence
                bids, asks = [p for p, _ in message.bids], [p for p, _ in message.asks]
                assert bids == sorted(set(bids), reverse=True) and asks == sorted(set(asks))
                assert 0 < bids[0] < asks[0] and len(bids) <= LEVELS and len(asks) <= LEVELS
                assert all(is_multiple(p, of=market.tick_size) for p in (*bids, *asks))
                assert all(q > 0 and is_multiple(q, of=market.step_size) for _, q in (*message.bids, *message.asks))
            case TradeTick():
                assert message.trade_id == trades.get(message.symbol, 20) + 1
                trades[message.symbol] = message.trade_id
                assert message.quantity > 0 and is_multiple(message.quantity, of=market.step_size)
                assert is_multiple(message.price, of=market.tick_size)
            case Quote():
                assert 0 < message.bid < message.ask
                assert is_multiple(message.last, of=market.tick_size)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63), st.lists(st.integers(0, 3_000_000), min_size=1, max_size=20))
def test_a_seed_and_instants_decide_the_stream_to_the_byte(seed: int, pauses: list[int]) -> None:
    def run() -> bytes:
        feed, now, out = synthetic(seed), T0, list[Message]()
        for pause in pauses:
            now += pause
            out += feed.step(now)
        return repr(out).encode()

    assert run() == run()


def test_another_seed_is_another_stream() -> None:
    assert stream(synthetic(1), 10) != stream(synthetic(2), 10)


def test_synthetic_markets_are_possible_markets() -> None:
    messages = stream(synthetic(), 400)
    check(messages, MARKETS)
    books = [m for m in messages if isinstance(m, BookSnapshot)]
    assert len(books) == 400 * len(MARKETS)
    assert {len(b.bids) for b in books} == {len(b.asks) for b in books} == {LEVELS}
    assert {m.symbol for m in messages if isinstance(m, TradeTick)} == {m.symbol for m in MARKETS}
    assert {m.symbol for m in messages if isinstance(m, FundingUpdate)} == {"BTC-USD", "ETH-USD"}


def test_a_synthetic_market_begins_where_it_was_left() -> None:
    first = next(m for m in synthetic().step(T0) if isinstance(m, Quote))
    assert abs(first.mark / Decimal(50_000) - 1) < Decimal("0.0005")


def test_crypto_moves_together() -> None:
    feed, moves = synthetic(), dict[str, list[Decimal]]()
    for message in stream(feed, 600):
        if isinstance(message, Quote):
            moves.setdefault(message.symbol, []).append(message.index)
    signs = [
        sum((a[i] > a[i - 10]) == (b[i] > b[i - 10]) for i in range(10, 600, 10))
        for a, b in [(moves["BTC-USD"], moves["ETH-USD"])]
    ]
    assert signs[0] > 35  # of 59; half would be chance


def test_a_clock_that_goes_back_gives_nothing() -> None:
    feed = synthetic()
    feed.step(T0)
    assert feed.step(T0 - 1) == feed.step(T0) == []


def test_a_made_up_day_ends_at_the_last_price() -> None:
    minutes = [
        m
        for m in made_up_day(MARKETS[0], last_price=Decimal(50_000), now_ms=T0 // 1000 + 30_000, seed=1)
        if m.kind == "trades"
    ]

    assert len(minutes) == MINUTES
    assert minutes[-1].close == 50_000
    assert all(b.open == a.close and b.open_time > a.open_time for a, b in pairwise(minutes))
    assert all(m.low <= min(m.open, m.close) <= max(m.open, m.close) <= m.high for m in minutes)


def test_funding_is_interest_and_premium_within_the_cap() -> None:
    clock, at_ms = FundingClock("X"), 10 * HOUR_MS
    flat = clock.observe(mark=Decimal(100), index=Decimal(100), at_ms=at_ms)
    assert flat is not None and flat.rate == HOURLY_INTEREST
    assert clock.observe(mark=Decimal(100), index=Decimal(100), at_ms=at_ms + 1) is None
    wild = clock.observe(mark=Decimal(200), index=Decimal(100), at_ms=at_ms + MINUTE_MS)
    assert wild is not None and wild.rate == HOURLY_CAP
    assert (wild.next_at - flat.next_at).total_seconds() == 0


def test_recorded_trades_alone_get_a_book_around_them(tmp_path: Path) -> None:
    path = tmp_path / "btcusdt-trades.csv"
    path.write_text(
        "time_ms,trade_id,price,quantity,buyer_maker\n1000,1,100.4,0.5,True\n1400,2,101.6,0.000001,False\n1700,3,99,1,False\n"
    )
    feed = played(record_of([path]), info())
    messages = stream(feed, 5)
    check(messages, [info()])

    assert [(m.side, m.price, m.quantity) for m in messages if isinstance(m, TradeTick)][:1] == [
        ("buy", Decimal(99), Decimal(1))
    ]
    assert {m.last for m in messages if isinstance(m, Quote)} == {Decimal(100), Decimal(102), Decimal(99)}


def test_rounds_repeat_the_recording_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "btcusdt-trades.csv"
    rows = "".join(f"{1000 + 100 * n},{n},{100 + n},1,True\n" for n in range(5))
    path.write_text("time_ms,trade_id,price,quantity,buyer_maker\n" + rows)
    messages = stream(played(record_of([path]), info()), 30, step_us=50_000)
    check(messages, [info()])

    prices = [int(m.price) for m in messages if isinstance(m, TradeTick)]
    assert prices == [101, 102, 103, 104, 100, 101, 102, 103, 104, 100, 101, 102, 103, 104]


def test_candles_play_through_their_turning_points(tmp_path: Path) -> None:
    path = tmp_path / "btcusdt-5m.csv"
    path.write_text("open_time_ms,open,high,low,close,volume\n0,100,120,90,110,600\n300000,110,110,70,75,300\n")
    for speed in (1, 60, 600):
        feed = played(record_of([path]), info(), speed=speed)
        messages = stream(feed, 2 * 300 * 4 // speed + 1, step_us=STEP_US)
        check(messages, [info()])
        prices = [m.price for m in messages if isinstance(m, TradeTick)]
        assert (max(prices), min(prices)) == (Decimal(120), Decimal(70)), speed


def test_a_crossed_recorded_quote_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "btcusdt-quotes.csv"
    path.write_text("time_ms,bid,bid_size,ask,ask_size\n0,100,1,101,1\n250,105,1,104,1\n500,102,1,103,1\n")
    messages = stream(played(record_of([path]), info()), 3)
    check(messages, [info()])
    assert {m.bid for m in messages if isinstance(m, Quote)} == {Decimal(100), Decimal(102)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "time_ms,bid,bid_size,ask,ask_size\n1,x,1,2,3\n",
        "open_time_ms,open,high,low,close,volume\n1,1,1,1,1,1\n",
    ],
)
def test_an_unreadable_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "btcusdt-x.csv"
    path.write_text(text)
    with pytest.raises(UnreadableRecording):
        record_of([path])


def test_symbols_map_to_markets() -> None:
    markets = {"BTC-USD", "BTCUSDT", "XRPUSDT"}
    assert market_of("BTCUSDT", mapping={}, markets=markets) == "BTC-USD"
    assert market_of("BTCUSDT", mapping={"BTCUSDT": "BTCUSDT"}, markets=markets) == "BTCUSDT"
    assert market_of("XRPUSDT", mapping={}, markets=markets) == "XRPUSDT"
    assert market_of("DOGEUSDT", mapping={}, markets=markets) is None
    assert parse_map(" btcusdt=btc-usd ,XRPUSDT=XRP-USD") == {"BTCUSDT": "BTC-USD", "XRPUSDT": "XRP-USD"}
    for wrong in ("BTC", "=X", "A=B=C"):
        with pytest.raises(ValueError, match="Not a map"):
            parse_map(wrong)


def test_recorded_data_plays_as_possible_markets(recorded: Path) -> None:
    markets = [info(), info("XRP-USD", tick="0.0001", step="1", price="2")]
    recordings = recordings_in(recorded, mapping={}, markets={m.symbol for m in markets})
    assert set(recordings) == {"BTC-USD", "XRP-USD"}
    for market in markets:
        feed = played(recordings[market.symbol], market, speed=4)
        messages = stream(feed, 200)
        check(messages, [market])
        assert repr(messages) == repr(stream(played(recordings[market.symbol], market, speed=4), 200))
        assert len({m.last for m in messages if isinstance(m, Quote)}) > 3
    xrp = [m for m in messages if isinstance(m, BookSnapshot)]
    assert all(len(book.bids) == LEVELS for book in xrp)


def test_each_recorded_candle_file_plays(recorded: Path) -> None:
    for name in ("btcusdt-5m-2023-01.csv", "xrpusdt-perp-5m-2021-11.csv"):
        market = info(tick="0.0001", step="0.001")
        messages = stream(played(record_of([recorded / name]), market, speed=100), 200)
        check(messages, [market])
        assert any(isinstance(m, TradeTick) for m in messages)


def test_a_later_start_joins_the_round_without_telling_its_past(recorded: Path) -> None:
    recording = record_of([recorded / "btcusdt-trades-2021-01-08.csv"])
    whole, late = played(recording, info()), played(recording, info())
    for number in range(41):
        expected = whole.step(T0 + number * STEP_US)
    joined = late.step(T0 + 40 * STEP_US)

    assert not any(isinstance(m, TradeTick) for m in joined)
    assert [m.last for m in joined if isinstance(m, Quote)][-1] == [m.last for m in expected if isinstance(m, Quote)][
        -1
    ]
