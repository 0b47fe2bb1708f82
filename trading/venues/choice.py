"""Which adapter acts for an account."""

from accounts.services.venue_connections import access_of
from astrade.venues.errors import InvalidVenueCredentials
from trading.models import TradingAccount
from trading.venues.base import VenueAccount
from trading.venues.extended import ExtendedAccount


def venue_account(account_id: int) -> VenueAccount:
    """The account at its venue, with what it takes to act for it. One query.

    Raises InvalidVenueCredentials where it isn't connected, or the venue no longer takes its key.
    """
    account = TradingAccount.objects.select_related("credential__stark_key").only("credential").get(pk=account_id)
    if account.credential is None:
        raise InvalidVenueCredentials(details={"account": "Not connected to its venue."})
    return ExtendedAccount(access_of(account.credential))
