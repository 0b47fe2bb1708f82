"""The practice venue of the model: what owners ask for, and what the clock and the market do.

Time is a number of seconds that only steps move on.
"""

from dataclasses import replace
from fractions import Fraction

from trading.tests.model import protection
from trading.tests.model.account import Account, Order, Refused, worth_of
from trading.tests.model.booking import Booking
from trading.tests.model.checks import adds_risk, check_daily_loss, check_margin, check_order
from trading.tests.model.exact import ZERO, cash_down, down_to
from trading.tests.model.market import Market, tell
from trading.tests.model.owners import SIGNS, Owners, Step

EVERYTHING = Fraction(10**12)  # more than any book holds


class Venue(Owners):
    """One method for each kind of step."""

    def do_wait(self, step: Step) -> None:
        self.now += step["seconds"]

    def do_switch(self, step: Step) -> None:
        """The dead-man switch, on for some seconds or off; only that it goes on or off is told."""
        account, seconds = self.accounts[step["account"]], step["seconds"]
        was_on, account.fires_at = account.fires_at is not None, self.now + seconds if seconds else None
        if was_on != bool(seconds):
            account.events.append(("dead_man_switch", {"state": "on" if seconds else "off"}))

    def do_keep(self, step: Step) -> None:
        """The timekeeper's look: orders whose time is over, then switches."""
        for account in self.accounts:
            expired = [order for order in account.live() if order.is_expired(self.now)]
            self._booking(account).end_all(expired, "expired", "expired")
        for account in self.accounts:
            if account.fires_at is not None and account.fires_at <= self.now:
                self._booking(account).end_all(list(account.live()), "cancelled", "dead_man_switch")
                account.fires_at = None
                account.events.append(("dead_man_switch", {"state": "fired"}))

    def do_fund(self, step: Step) -> None:
        """One hour's funding of a market, on what was held then."""
        symbol, hour = step["symbol"], self.now - step["ago"]
        for account in self.accounts:
            later = [fill for fill in account.fills if fill["market"] == symbol and fill["at"] > hour]
            quantity = account.held(symbol) - sum((SIGNS[fill["side"]] * fill["quantity"] for fill in later), ZERO)
            if quantity and not any(paid[:2] == (symbol, hour) for paid in account.funded):
                amount = cash_down(-quantity * Fraction(step["mark"]) * Fraction(step["rate"]))
                self._pay_funding(account, symbol, hour, amount)

    def _pay_funding(self, account: Account, symbol: str, hour: int, amount: Fraction) -> None:
        """To the position that was open then."""
        booking = self._booking(account)
        account.funded.append((symbol, hour, amount))
        booking.post("funding", amount)
        booking.cover()
        spans = [n for n, old in enumerate(account.closed) if old["market"] == symbol]
        ended = [n for n in spans if account.closed[n]["opened_at"] <= hour < account.closed[n]["closed_at"]]
        account.events.append(("funding", {"amount": amount}))
        if ended:
            old = account.closed[ended[-1]]
            account.closed[ended[-1]] = old | {"funding": old["funding"] + amount}
        else:
            booking.position(symbol).funding += amount
            booking.tell_position(symbol)
        booking.tell_balance()

    def do_tick(self, step: Step) -> None:
        """The market moves and the matcher has its turn: triggers first, then what rests."""
        market = self.markets[step["symbol"]]
        self.now += step.get("after", 1)
        known = [(account, order) for account in self.accounts for order in account.live(market.symbol)]
        moved = tell(market, step, at=self.now)
        matching = self._matching[market.symbol]
        triggered, reached = matching.triggered(known, moved, market), matching.reached(known, moved, market)
        for account, order in triggered:
            self._trigger(account, order.number, market)
        for hit in reached:
            order = hit.account.order(hit.order.number)
            self._fill_resting(hit.account, order, market, through=hit.through, turn=hit.turn)

    def _trigger(self, account: Account, number: int, market: Market) -> None:
        """An order whose trigger was reached becomes a market or limit order, or ends."""
        order = account.order(number)
        if order.status != "untriggered":
            return
        if order.is_expired(self.now):
            self._booking(account).end_and_tell(order, "expired", "expired")
            return
        cut = account.reducible(order) if order.reduce_only else order.quantity
        if not cut:
            self._booking(account).end_and_tell(order, "cancelled", "nothing_to_reduce")
            return
        before, booking = account.saved(), self._booking(account)
        if cut < order.quantity:
            order.quantity = cut
            booking.note(order, "cut_to_position")
        if order.role is not None and not booking.walk(order, market):
            account.restore(before)
            return
        noted, after_cut = set(booking.touched), account.saved()
        try:
            self._enter(booking, order, market)
        except Refused as refusal:
            account.restore(after_cut if order.role is None else before)  # protection is never given up
            if order.role is None:
                anew = self._booking(account)
                anew.touched = noted
                anew.end_and_tell(account.order(number), "rejected", refusal.reason)
            return
        if order.role is not None:
            protection.filled(booking, order)
        booking.announce(order)

    def _enter(self, booking: Booking, order: Order, market: Market) -> None:
        """Place what was triggered."""
        account = booking.account
        asked = replace(
            self._as_replaced(account, order, market, {}),
            type="market" if order.price is None else "limit",
            trigger_price=None,
            trigger_by=None,
            take_profit=None,
            stop_loss=None,
        )
        order.status = "new"
        try:
            check_order(account, asked, self.markets, now=self.now)
        finally:
            order.status = "untriggered"
        before = worth_of(account, self.markets)
        order.admitted_sequence, order.admitted_at = market.sequence, self.now
        booking.take(order, market)
        self._settle(booking, order)
        if not order.reduce_only:
            check_margin(before, worth_of(account, self.markets))

    def _fill_resting(self, account: Account, order: Order, market: Market, *, through: bool, turn: bool) -> None:
        """A resting order that was reached trades at its own price: whole where price traded through it, else with
        what faces it, or with what traded at its price beyond what stood before it.
        """
        if not order.is_resting or order.price is None:
            return
        booking = self._booking(account)
        if order.is_expired(self.now):
            booking.end_and_tell(order, "expired", "expired")
            return
        quantity = account.reducible(order) if order.reduce_only else order.remaining
        if not quantity:
            booking.end_and_tell(order, "cancelled", "nothing_to_reduce")
            return
        if adds_risk(account, market.symbol, order.side, order.remaining, reduce_only=order.reduce_only):
            try:
                check_daily_loss(account, self.markets)
            except Refused:
                booking.end_and_tell(order, "cancelled", "daily_loss_limit")
                return
        from_book = ZERO
        if not through and account.simulator == "realistic":
            position = account.positions.get(market.symbol)
            taken = position.taken_by(order.side, market.sequence) if position else ZERO
            facing = market.walk(order.side, EVERYTHING, limit=order.price, taken=taken)
            from_book = sum((part for _, part in facing), ZERO)
            beyond = order.traded - order.ahead if turn and order.ahead is not None else ZERO
            quantity = min(quantity, down_to(market.rules["step_size"], max(from_book, beyond)))
        if not quantity:
            return
        booking.execute(order, market, order.price, quantity, is_taker=False)
        booking.position(market.symbol).take(order.side, min(quantity, from_book), market.sequence)
        if turn and order.ahead is not None:
            order.ahead, order.traded = max(ZERO, order.ahead - order.traded), ZERO
        booking.move(order, "partially_filled" if order.remaining else "filled")
        booking.announce(order)
