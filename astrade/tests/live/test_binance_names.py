"""A live account traded by Binance's names: the same orders at the venue, what became of them in Binance's words."""

from accounts.tests.factories import ApiKeyFactory
from accounts.tokens import new_api_key
from astrade.tests.live.trader import Trader
from trading.models import Order
from trading.tests.api.binance import BinanceClient

SYMBOL = "BTCUSD"  # what BTC-USD is called there


def client_of(trader: Trader) -> BinanceClient:
    """With a key that is bound to the live account."""
    secret, account = new_api_key()[0], trader.account
    bound = {"account_id": account.pk, "account_uuid": account.uuid}
    ApiKeyFactory.create(user=trader.user, secret=secret, scopes=["read", "trade"], **bound)
    return BinanceClient(secret)


def bid(trader: Trader, name: str) -> dict[str, str]:
    """For 0.01, 2 % below the mark."""
    price = {"timeInForce": "GTC", "price": trader.price("0.98")}
    return {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "quantity": "0.01", "newClientOrderId": name, **price}


def test_an_order_goes_to_the_venue_and_ends_there(trader: Trader) -> None:
    client = client_of(trader)

    placed = client.good("POST", "order", form=bid(trader, "mine"))

    order = Order.objects.get(client_order_id="mine")
    assert (placed["orderId"], placed["symbol"], placed["status"]) == (order.number, SYMBOL, "NEW")
    assert trader.order_there(order) is not None
    assert client.refused("POST", "order", form=bid(trader, "mine"))[:2] == (400, -2010)
    assert len(trader.there.orders) == 1
    named = {"symbol": SYMBOL, "orderId": placed["orderId"]}
    assert client.good("DELETE", "order", form=named)["status"] in ("PENDING_CANCEL", "CANCELED")
    trader.sync()
    assert client.good("GET", "order", named)["status"] == "CANCELED"
    assert trader.differences() == []


def test_a_lost_answer_is_an_unknown_outcome(trader: Trader) -> None:
    client = client_of(trader)
    trader.venue.exchange.switch_faults("reset_after_accept")

    assert client.refused("POST", "order", form=bid(trader, "lost"))[:2] == (504, -1007)

    trader.venue.exchange.switch_faults("")
    trader.settle()
    found = client.good("GET", "order", {"symbol": SYMBOL, "origClientOrderId": "lost"})
    assert (found["status"], len(trader.there.orders)) == ("NEW", 1)


def test_what_the_venue_does_not_offer_is_refused(trader: Trader) -> None:
    refused = client_of(trader).refused("POST", "order", form={**bid(trader, "other"), "timeInForce": "FOK"})

    assert refused == (400, -2010, "Order type not offered by this venue.")
    assert trader.there.orders == {}
