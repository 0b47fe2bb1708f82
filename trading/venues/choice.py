"""Which adapter acts for an account."""

from typing import Literal
from uuid import UUID

import msgspec

from accounts.services.venue_connections import access_of
from astrade.venues.errors import InvalidVenueCredentials
from trading.pipeline import run_together
from trading.venues.base import VenueAccount
from trading.venues.extended import ExtendedAccount

_CONNECTED = """
SELECT json_build_object('id', c.id, 'uuid', c.uuid, 'user_id', c.user_id, 'venue', c.venue, 'network', c.network,
  'signing', c.signing, 'state', c.state, 'api_key', translate(encode(c.api_key, 'base64'), E'\\n', ''),
  'venue_account_id', c.venue_account_id, 'vault', c.vault,
  'stark_key', json_build_object('uuid', k.uuid, 'public_key', k.public_key,
    'private_key', translate(encode(k.private_key, 'base64'), E'\\n', '')))::text
FROM trading_tradingaccount a JOIN accounts_venuecredential c ON c.id = a.credential_id
  JOIN accounts_starkkey k ON k.id = c.stark_key_id
WHERE a.id = $1
"""


class _Key(msgspec.Struct):
    uuid: UUID
    public_key: str
    private_key: bytes | None


class _Connected(msgspec.Struct):
    """What `access_of` reads of a connection; its secrets are sealed."""

    id: int
    uuid: UUID
    user_id: int
    venue: Literal["extended"]
    network: str
    signing: str
    state: str
    api_key: bytes | None
    venue_account_id: int
    vault: int
    stark_key: _Key


_decoder = msgspec.json.Decoder(_Connected)


def venue_account(account_id: int) -> VenueAccount:
    """The account at its venue, with what it takes to act for it. One statement, with every order: not by the ORM.

    Raises InvalidVenueCredentials where it isn't connected, or the venue no longer takes its key.
    """
    (found,) = run_together((_CONNECTED, [account_id]))
    if found is None:
        raise InvalidVenueCredentials(details={"account": "Not connected to its venue."})
    return ExtendedAccount(access_of(_decoder.decode(found)))
