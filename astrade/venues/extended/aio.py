"""Sends calls to Extended from an event loop; as `client` in everything else.

client = AsyncClient(profile)                       one an event loop
await client.send(account_calls.balance(), access)
"""

from typing import TypeVar

from astrade.venues.extended.calls import Access, Call
from astrade.venues.extended.sending import Sending
from astrade.venues.sending import AsyncSending

T = TypeVar("T")


class AsyncClient(Sending, AsyncSending):
    """See the module's first lines; `sources` are those of `AsyncSending`."""

    async def send(self, call: Call[T], access: Access | None = None) -> T:
        """As `Client.send`."""
        answer: T = await self.carry_out(call, access)
        return answer
