"""Which recorded file plays on which market: reads a folder or a file, and the map of symbols."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from marketdata.feeds.recordings import FileKind, Recording, UnreadableRecording, kind_of, record_of, symbol_of

logger = logging.getLogger(__name__)
# The most faithful first; quotes and trades belong together. Candles are used where nothing finer is recorded.
PREFERRED: Sequence[frozenset[FileKind]] = (
    frozenset({"orderbook"}),
    frozenset({"quotes", "trades"}),
    frozenset({"candles"}),
)


def parse_map(text: str) -> dict[str, str]:
    """`BTCUSDT=BTC-USD,XRPUSDT=XRP-USD` as recorded symbol → market; raises ValueError for anything else."""
    pairs = [pair.split("=") for pair in text.split(",") if pair.strip()]
    if any(len(pair) != 2 or not pair[0].strip() or not pair[1].strip() for pair in pairs):
        raise ValueError(f"Not a map of symbols: {text!r} (expected RECORDED=MARKET,…)")
    return {recorded.strip().upper(): market.strip().upper() for recorded, market in pairs}


def market_of(recorded: str, *, mapping: Mapping[str, str], markets: Collection[str]) -> str | None:
    """Market on which the recorded symbol plays: as mapped, else the dollar market of its base, else the symbol
    itself."""
    dollar = f"{recorded.removesuffix('USDT')}-USD"
    candidates = (mapping.get(recorded), dollar if recorded.endswith("USDT") else None, recorded)
    return next((symbol for symbol in candidates if symbol in markets), None)


def recordings_in(path: Path, *, mapping: Mapping[str, str], markets: Collection[str]) -> dict[str, Recording]:
    """Recording of each market that `path` (a file or a folder) has one for; raises UnreadableRecording if there is
    none."""
    files = [path] if path.is_file() else sorted([*path.glob("*.csv"), *path.glob("*.jsonl")])
    by_market: dict[str, list[Path]] = {}
    for file in files:
        market = market_of(symbol_of(file), mapping=mapping, markets=markets)
        if market is None:
            logger.warning("replay_file_without_market", extra={"file": file.name})
        else:
            by_market.setdefault(market, []).append(file)
    if not by_market:
        raise UnreadableRecording(f"{path}: no recording for a known market")
    return {market: _chosen(market, paths) for market, paths in by_market.items()}


def _chosen(market: str, paths: Sequence[Path]) -> Recording:
    kinds = {path: kind_of(path) for path in paths}
    wanted = next(group for group in PREFERRED if group & set(kinds.values()))
    chosen = [path for path, kind in kinds.items() if kind in wanted]
    if wanted != frozenset({"quotes", "trades"}):
        chosen = chosen[:1]  # two stretches of time don't make one
    left_out = sorted(path.name for path in paths if path not in chosen)
    logger.info("replay_files", extra={"market": market, "files": [p.name for p in chosen], "left_out": left_out})
    return record_of(chosen)
