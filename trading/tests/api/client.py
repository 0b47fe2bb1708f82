"""A trader who speaks the API."""

from typing import Any

from accounts.models import User
from accounts.tests.client import Answer, Api
from accounts.tests.factories import ApiKeyFactory, UserFactory, signed_in
from accounts.tokens import new_api_key
from trading.models import TradingAccount
from trading.tests.factories import open_account

ORDER = {"symbol": "BTC-USD", "side": "buy", "type": "market", "quantity": "1"}
RESTING = {**ORDER, "type": "limit", "price": "95"}


class Trader:
    """A signed-in user with a practice account of 10,000."""

    def __init__(self) -> None:
        self.user: User = UserFactory.create()
        self.account: TradingAccount = open_account(user=self.user)
        self.api: Api = Api().bearer(signed_in(self.user).access_token)
        self.path = f"/accounts/{self.account.uuid}"

    def place(self, **changes: Any) -> Answer:
        """A market order to buy 1 BTC-USD, but for the changes."""
        return self.api.post("/orders", {**ORDER, **changes})

    def rest(self, **changes: Any) -> Answer:
        """A limit order to buy 1 BTC-USD at 95, but for the changes."""
        return self.api.post("/orders", {**RESTING, **changes})

    def with_key(self, *scopes: str, account: TradingAccount | None = None) -> Api:
        """The same user by an API key, bound to an account if one is given."""
        secret = new_api_key()[0]
        bound = {"account_id": account.pk, "account_uuid": account.uuid} if account else {}
        ApiKeyFactory.create(user=self.user, secret=secret, scopes=list(scopes), **bound)
        return Api().key(secret)
