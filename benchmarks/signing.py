"""Signed orders for Extended, ours beside the vendor's official SDK: from what is wanted to the body that is posted.

    python -m benchmarks.signing [--sdk .venv-sdk/bin/python] [--orders 2000] [--rounds 5]

One process each, one thread, rounds in turn; orders per second of its own CPU time. `make sdk-check` makes the SDK's
environment; without it only ours is measured. Prints, asserts nothing.
"""

import argparse
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from statistics import median

from astrade.venues.extended.orders import unsigned_order
from astrade.venues.extended.signing import TESTNET, L2Config, public_key_of, sign
from astrade.venues.extended.tickets import Signer, Terms, Ticket
from astrade.venues.extended.wire import OrderType, Side
from benchmarks.processes import ROOT, machine
from benchmarks.report import table

KEY, VAULT, EXPIRES_MS, WARM_UP = 0x5, 10_002, 1_900_000_000_000, 100
BTC = Terms("BTC-USD", L2Config(0x4254432D3600000000000000000000, 10**6, 1, 10**6), Decimal("0.00001"), Decimal(10**7))


def sign_orders(count: int) -> float:
    """CPU seconds for so many limit orders that differ in quantity, price and nonce."""
    signer = Signer(VAULT, public_key_of(KEY), TESTNET)
    begun = time.process_time()
    for number in range(1, count + 1):
        unsigned = unsigned_order(
            Ticket(
                terms=BTC,
                signer=signer,
                type=OrderType.LIMIT,
                side=Side.BUY if number % 2 else Side.SELL,
                quantity=Decimal(number) / 100_000,
                price=Decimal(40_000 + number),
                fee_rate=Decimal("0.0005"),
                expires_ms=EXPIRES_MS,
                nonce=number,
            )
        )
        unsigned.body([sign(KEY, digest) for digest in unsigned.hashes])
    return time.process_time() - begun


def sdk_seconds(python: Path, count: int) -> float:
    """The same by the SDK, in a process of its own."""
    command = [str(python), "-m", "benchmarks.signing_sdk", str(WARM_UP), str(count)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sdk", type=Path, default=ROOT / ".venv-sdk" / "bin" / "python")
    options.add_argument("--orders", type=int, default=2_000)
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    has_sdk = asked.sdk.exists()
    sign_orders(WARM_UP)
    ours, theirs = [], []
    for _ in range(asked.rounds):
        ours.append(asked.orders / sign_orders(asked.orders))
        if has_sdk:
            theirs.append(asked.orders / sdk_seconds(asked.sdk, asked.orders))
    rows = [["AsTrade", f"{median(ours):,.0f}", f"{min(ours):,.0f}–{max(ours):,.0f}", "1.00"]]
    if has_sdk:
        rows.append(
            [
                "official SDK 2.6.0",
                f"{median(theirs):,.0f}",
                f"{min(theirs):,.0f}–{max(theirs):,.0f}",
                f"{median(theirs) / median(ours):.2f}",
            ]
        )
    else:
        print(f"no {asked.sdk}: `make sdk-check` makes it", file=sys.stderr)
    print(f"{machine()}, {asked.rounds} rounds of {asked.orders:,} orders\n")
    print(table(["", "orders per CPU second", "range", "of ours"], rows))


if __name__ == "__main__":
    main()
