"""Random scripts, each a function of its seed alone: plain values, so that one prints as what it is.

The writer plays each step on a model of its own as it goes, so that most steps mean something: it cancels orders that
live, closes positions that are open, and names prices around the present ones.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from random import Random
from typing import Any

from trading.tests.model.account import Account, Order
from trading.tests.model.exact import ZERO, down_to, number
from trading.tests.model.market import RULES, Market, numeric
from trading.tests.model.record import Noise
from trading.tests.model.venue import Venue

Script = dict[str, Any]
Step = dict[str, Any]
STEPS = (5, 25)
MOVES = ((-2, 2),) * 12 + ((-9, 9), (-9, 9))  # of a tick, in tick sizes
CRASH = 0.06  # how often a market moves by up to 40 % instead
TYPES = ("market",) * 4 + ("limit",) * 8 + ("stop", "stop", "stop_limit", "take_profit", "take_profit_limit")
CONDITIONAL = ("stop", "stop_limit", "take_profit", "take_profit_limit")
WEIGHTS = {
    "tick": 36, "order": 34, "cancel": 3, "cancel_all": 1, "close": 4, "protect": 5, "leverage": 2, "replace": 8,
    "wait": 2, "switch": 1, "keep": 2, "fund": 2,
}  # fmt: skip
SYMBOL_PAIRS = (("BTC-USD", "ETH-USD"), ("BTC-USD", "ETH-USD"), ("BTC-USD", "SOL-USD"), ("ETH-USD", "SOL-USD"))


def script_of(seed: int) -> Script:
    """The script of a seed."""
    return _Writer(Random(seed)).script()


def venue_of(script: Script, noises: Sequence[Noise]) -> Venue:
    """The model before the first step of a script."""
    accounts = [
        Account(
            simulator=fields["simulator"],
            max_leverage=fields["max_leverage"],
            max_daily_loss=number(fields.get("max_daily_loss")),
            max_daily_notional=number(fields.get("max_daily_notional")),
            cash=Fraction(fields["balance"]),
            deposits=Fraction(fields["balance"]),
        )
        for fields in script["accounts"]
    ]
    markets = {symbol: Market(symbol, numeric(RULES[symbol])) for symbol in script["symbols"]}
    return Venue(accounts, markets, noises)


def text(value: Fraction) -> str:
    """A number with few decimals."""
    return format(float(value), ".4f").rstrip("0").rstrip(".")


class _Writer:
    """One script, as it is being written."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.symbols = dice.choice(SYMBOL_PAIRS)
        self.opening = [self._account() for _ in range(dice.choice((1, 1, 1, 2)))]
        head = {"accounts": self.opening, "symbols": self.symbols}
        self.venue = venue_of(head, [lambda order, fills: ZERO for _ in self.opening])
        self.middle = {symbol: Fraction(RULES[symbol]["reference_price"]) for symbol in self.symbols}

    def script(self) -> Script:
        """The first books, then whatever comes."""
        steps = list[Step]()
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        chosen = self.dice.choices(names, weights, k=self.dice.randint(*STEPS))
        for name, *arguments in (*(("tick", symbol) for symbol in self.symbols), *((name,) for name in chosen)):
            step = getattr(self, name if self._makes_sense(name) or self._slip() else "order")(*arguments)
            self.venue.play(step)
            steps.append(step)
        return {"accounts": self.opening, "symbols": self.symbols, "steps": steps}

    def _account(self) -> dict[str, Any]:
        dice = self.dice
        account: dict[str, Any] = {
            "simulator": dice.choice(("realistic", "realistic", "realistic", "classic")),
            "balance": dice.choice(("100", "500", "2000", "2000", "10000")),
            "max_leverage": dice.choice((1, 3, 10, 10, 10)),
        }
        if dice.random() < 0.15:
            account["max_daily_loss"] = dice.choice(("1", "5", "40"))
        if dice.random() < 0.15:
            account["max_daily_notional"] = dice.choice(("300", "2000"))
        return account

    # -- what there is

    def _slip(self, chance: float = 0.08) -> bool:
        """Now and then a step makes no sense."""
        return self.dice.random() < chance

    def _whose(self) -> tuple[int, Account]:
        index = self.dice.randrange(len(self.opening))
        return index, self.venue.accounts[index]

    def _makes_sense(self, name: str) -> bool:
        """Whether there is anything to do it to."""
        accounts = self.venue.accounts
        if name in ("cancel", "cancel_all", "replace"):
            return any(order.is_live for account in accounts for order in account.orders)
        if name in ("close", "protect", "fund"):
            return any(account.held(symbol) for account in accounts for symbol in self.symbols)
        return True

    def _order(self, account: Account) -> Order | None:
        """One that lives, or any."""
        orders = account.orders if self._slip() else list(account.live())
        return self.dice.choice(orders) if orders else None

    def _held(self, account: Account) -> str:
        """A market with a position, or any."""
        open_ones = [symbol for symbol in self.symbols if account.held(symbol)]
        return self.dice.choice(self.symbols if self._slip() or not open_ones else open_ones)

    def _tick_size(self, symbol: str) -> Fraction:
        return Fraction(RULES[symbol]["tick_size"])

    def _near(self, symbol: str, ticks: int = 6) -> Fraction:
        """A price some ticks from the middle."""
        return self.middle[symbol] + self.dice.randint(-ticks, ticks) * self._tick_size(symbol)

    def _quantity(self, symbol: str) -> str:
        """Usual, or too much; seldom off step or below the minimum."""
        dice, step = self.dice, Fraction(RULES[symbol]["step_size"])
        usual = Fraction(dice.choice((40, 100, 200, 300, 300, 900, 4000))) / self.middle[symbol] / 2
        quantity = max(usual * dice.choice((1, 1, 1, Fraction(dice.randint(1, 99), 100))) // step * step, step)
        if self._slip(0.03):
            quantity = dice.choice((step, quantity + step / 2, Fraction(100_000)))
        return text(quantity)

    # -- the market

    def tick(self, symbol: str | None = None) -> Step:
        """A book around a middle that moves a little or jumps, what was traded on the way, and quotes."""
        dice, is_first = self.dice, symbol is not None
        symbol = symbol or dice.choice(self.symbols)
        tick, before, near = self._tick_size(symbol), self.middle[symbol], dice.randint(1, 2)
        met = None if is_first or dice.random() < 0.75 else self._resting_price(symbol)
        middle = self._next_middle(symbol, may_crash=not is_first) if met is None else met[0] + met[1] * near * tick
        self.middle[symbol] = middle
        step: Step = {"do": "tick", "symbol": symbol, "after": dice.choice((0, 1, 1, 2, 5))}
        step["trades"] = self._trades(symbol, before, middle) if met is None else []
        last = middle + dice.choice((-near, -near, 0, near, near)) * tick if met is None else met[0]
        present = {"last": text(last), "mark": text(middle)}
        present["index"] = text(middle + dice.randint(-2, 2) * tick)
        step["quotes"] = [present]
        if met is None and dice.random() < 0.1:
            spike = text(middle + dice.choice((-7, 7)) * tick)
            step["quotes"] = [{"last": text(middle), "mark": spike, "index": spike}, present]
        if is_first or met is not None or dice.random() < 0.9:
            depth = 1 if dice.random() < 0.25 else 3
            step["bids"] = [[text(middle - (near + n) * tick), self._size(symbol, n)] for n in range(depth)]
            step["asks"] = [[text(middle + (near + n) * tick), self._size(symbol, n)] for n in range(depth)]
        else:
            step["trades"] = []
        return step

    def _next_middle(self, symbol: str, *, may_crash: bool) -> Fraction:
        """Near the last one, or far off; never out of all bounds."""
        tick, reference = self._tick_size(symbol), Fraction(RULES[symbol]["reference_price"])
        moved = self.dice.randint(*self.dice.choice(MOVES))
        if may_crash and self.dice.random() < CRASH:
            moved = int(reference * self.dice.randint(-40, 40) / 100 / tick)
        return min(max(self.middle[symbol] + moved * tick, reference * Fraction(3, 5)), reference * Fraction(8, 5))

    def _resting_price(self, symbol: str) -> tuple[Fraction, int] | None:
        """The price of an order that rests, and on which side of it the middle lies when the other side touches it."""
        orders = [order for account in self.venue.accounts for order in account.live(symbol) if order.is_resting]
        order = self.dice.choice(orders) if orders else None
        return None if order is None or order.price is None else (order.price, -order.side)

    def _size(self, symbol: str, depth: int) -> str:
        """Of a level: thin at the top; not always whole steps."""
        notional = self.dice.choice((20, 60, 150)) * (1, 2, 20)[depth]
        return text(Fraction(notional) / self.middle[symbol] + Fraction(self.dice.randint(0, 9), 10_000))

    def _trades(self, symbol: str, before: Fraction, after: Fraction) -> list[list[str]]:
        """Some, between the middles and a little beyond; often where an order rests."""
        tick, trades, dice = self._tick_size(symbol), list[list[str]](), self.dice
        prices = [before + dice.randint(-3, 3) * tick, after + dice.randint(-3, 3) * tick]
        prices += [order.price for account in self.venue.accounts for order in account.live(symbol) if order.price]
        for _ in range(dice.choice((0, 0, 1, 2))):
            size = self._size(symbol, dice.randint(0, 1))
            trades.append([dice.choice(("buy", "sell")), text(dice.choice(prices)), size])
        return trades

    # -- the owners

    def order(self) -> Step:
        """Of any kind, most of them sensible."""
        dice, (index, account) = self.dice, self._whose()
        symbol = self._held(account) if dice.random() < 0.4 else dice.choice(self.symbols)
        held, step = account.held(symbol), {"do": "place", "account": index, "symbol": symbol}
        only_reduces = dice.random() < 0.3 and (bool(held) or self._slip())
        side = ("sell" if held > 0 else "buy") if only_reduces and not self._slip() else self._side(account, symbol)
        order: Step = {"side": side, "type": dice.choice(TYPES), "quantity": self._quantity(symbol)}
        entry = self._price(order, symbol)
        if order["type"] != "market" or self._slip(0.02):
            self._dress(order)
        if only_reduces:
            order["reduce_only"] = True
            order["quantity"] = text(min(Fraction(order["quantity"]), abs(held) or Fraction(1)))
        elif dice.random() < 0.4:
            self._protect(order, symbol, entry)
        if dice.random() < 0.25:
            cap = min(account.max_leverage, int(RULES[symbol]["max_leverage"]))
            order["leverage"] = dice.choice((1, 3, 5, 20, 0) if self._slip(0.2) else (cap, max(1, cap // 2)))
        if self._slip(0.05):
            order["client_order_id"] = dice.choice("ab")
        return step | {"order": order}

    def _price(self, order: Step, symbol: str) -> Fraction:
        """Give an order its prices; returns about where it would enter."""
        dice, up, entry = self.dice, 1 if order["side"] == "buy" else -1, self.middle[symbol]
        if order["type"] in CONDITIONAL:
            ahead = up if order["type"].startswith("stop") else -up
            entry += dice.randint(1, 6) * ahead * (-1 if self._slip() else 1) * self._tick_size(symbol)
            order["trigger_price"] = text(entry)
            if order["type"].endswith("_limit"):
                order["price"] = text(entry + dice.randint(-2, 2) * self._tick_size(symbol))
            if dice.random() < 0.6:
                order["trigger_by"] = dice.choice(("last", "mark", "index"))
        elif order["type"] == "limit":
            order["price"] = text(self._near(symbol))
        return entry

    def _side(self, account: Account, symbol: str) -> str:
        if RULES[symbol]["type"] == "spot" and not account.held(symbol) and not self._slip():
            return "buy"
        held = account.held(symbol)
        if held and self.dice.random() < 0.3:
            return "sell" if held > 0 else "buy"  # to close it, or turn it round
        return self.dice.choice(("buy", "sell"))

    def _dress(self, order: Step) -> None:
        """How long it stays and whether it may take; a slip now and then."""
        dice = self.dice
        if dice.random() < 0.35:
            order["time_in_force"] = dice.choice(("IOC", "FOK", "GTT", "GTT"))
        if order.get("time_in_force") == "GTT":
            order["expires_in"] = dice.choice((2, 4, 4, 9, 60, 100 * 24 * 3600))
        if dice.random() < (0.15 if order.get("time_in_force", "GTT") == "GTT" else 0.02):
            order["post_only"] = True
        if self._slip(0.03) and "price" in order:
            order["price"] = dice.choice((order["price"] + "7", "0.001", text(Fraction(order["price"]) * 2)))

    def _protect(self, order: Step, symbol: str, entry: Fraction) -> None:
        """A take profit, a stop loss, or both, brought along."""
        dice, tick, up = self.dice, self._tick_size(symbol), 1 if order["side"] == "buy" else -1
        entry = Fraction(order.get("price", entry))
        if order["type"] == "limit":
            entry = min(entry, self.middle[symbol]) if up == 1 else max(entry, self.middle[symbol])
        names = dice.choice((("take_profit",), ("stop_loss",), ("take_profit", "stop_loss")))
        for name in names:
            away = dice.randint(1, 6) * (-1 if self._slip(0.04) else 1) * (up if name == "take_profit" else -up)
            order[name] = text(entry + away * tick)
        if dice.random() < 0.2:
            order["trigger_by"] = dice.choice(("last", "mark", "index"))

    def cancel(self) -> Step:
        index, account = self._whose()
        order = self._order(account)
        return {"do": "cancel", "account": index, "number": order.number if order else 1}

    def cancel_all(self) -> Step:
        """All, or those of a market or a side."""
        step: Step = {"do": "cancel_all", "account": self._whose()[0]}
        if self.dice.random() < 0.5:
            step["symbol"] = self.dice.choice(self.symbols)
        if self.dice.random() < 0.5:
            step["side"] = self.dice.choice(("buy", "sell"))
        return step

    def close(self) -> Step:
        """All of a position, a part, or more than there is."""
        index, account = self._whose()
        step: Step = {"do": "close", "account": index, "symbol": self._held(account)}
        if self.dice.random() < 0.5:
            held, wanted = abs(account.held(step["symbol"])), self._quantity(step["symbol"])
            step["quantity"] = wanted if self._slip() or not held else text(min(held, Fraction(wanted)))
        return step

    def protect(self) -> Step:
        """Levels about where they may be."""
        dice, (index, account) = self.dice, self._whose()
        symbol = self._held(account)
        tick, is_short = self._tick_size(symbol), account.held(symbol) < 0
        below, above = (text(self.middle[symbol] + sign * dice.randint(1, 5) * tick) for sign in (-1, 1))
        low, high = ("take_profit", "stop_loss") if is_short != self._slip() else ("stop_loss", "take_profit")
        levels = {low: dice.choice((below, below, None)), high: dice.choice((above, above, None))}
        if dice.random() < 0.4:
            levels.pop(dice.choice(sorted(levels)))
        return {"do": "protect", "account": index, "symbol": symbol, "levels": levels}

    def leverage(self) -> Step:
        index, symbol = self._whose()[0], self.dice.choice(self.symbols)
        return {
            "do": "leverage",
            "account": index,
            "symbol": symbol,
            "leverage": self.dice.choice((1, 2, 3, 3, 7, 11, 0)),
        }

    def replace(self) -> Step:
        """Some of price, quantity and trigger price of an order; now and then a version."""
        dice, (index, account) = self.dice, self._whose()
        order = self._order(account)
        step: Step = {"do": "replace", "account": index, "number": order.number if order else 1}
        step["changes"] = {} if order is None else self._changes(order)
        if dice.random() < 0.15:
            step["version"] = dice.choice((1, 2))
        return step

    def _changes(self, order: Order) -> Mapping[str, str]:
        dice, changes = self.dice, dict[str, str]()
        if dice.random() < 0.7 and (order.price is not None or self._slip()):
            changes["price"] = text(self._near(order.market, ticks=4))
        if dice.random() < 0.5:
            half = down_to(Fraction(RULES[order.market]["step_size"]), order.quantity / 2)
            changes["quantity"] = dice.choice((self._quantity(order.market), text(half or Fraction(1))))
        if (dice.random() < 0.5 and order.status == "untriggered") or self._slip(0.03):
            present = order.trigger_price or self.middle[order.market]
            changes["trigger_price"] = text(present + dice.randint(-2, 2) * self._tick_size(order.market))
        return changes

    # -- the clock

    def wait(self) -> Step:
        return {"do": "wait", "seconds": self.dice.choice((1, 3, 5, 10, 11))}

    def switch(self) -> Step:
        return {"do": "switch", "account": self._whose()[0], "seconds": self.dice.choice((0, 3, 6, 30))}

    def keep(self) -> Step:
        return {"do": "keep"}

    def fund(self) -> Step:
        """An hour of a market, at once or late."""
        symbol = self._held(self._whose()[1])
        rate = self.dice.choice(("0.0001", "-0.00037", "0.01"))
        ago = self.dice.choice((0, 0, 1, 3, 7))
        return {"do": "fund", "symbol": symbol, "rate": rate, "mark": text(self.middle[symbol]), "ago": ago}
