"""Which adapter acts for an account."""

from accounts.services.venue_connections import venue_access
from astrade.venues.errors import InvalidVenueCredentials
from trading.models import TradingAccount
from trading.venues.base import VenueAccount
from trading.venues.extended import ExtendedAccount


def venue_account(account_id: int) -> VenueAccount:
    """The account at its venue, with what it takes to act for it.

    Raises InvalidVenueCredentials where it isn't connected, or the venue no longer takes its key.
    """
    credential_id = TradingAccount.objects.values_list("credential_id", flat=True).get(pk=account_id)
    if credential_id is None:
        raise InvalidVenueCredentials(details={"account": "Not connected to its venue."})
    return ExtendedAccount(venue_access(credential_id))
