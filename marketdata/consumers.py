"""`/ws/markets/{symbol}/{orderbook|trades|candles|funding|ticker}`: one public stream, one socket."""

from urllib.parse import parse_qs

from astrade.core.errors import AstradeError
from astrade.core.sockets.closing import NOT_FOUND
from astrade.core.sockets.consumers import SocketConsumer
from astrade.core.sockets.threads import in_thread
from marketdata.sockets import MarketStreams, named_stream


class MarketConsumer(SocketConsumer):
    """Sends the stream that the path names from the moment of the connection."""

    _streams: MarketStreams | None = None

    async def opened(self) -> None:
        """Subscribe; an unknown market closes with 4404."""
        named = self.scope["url_route"]["kwargs"]
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        timeframe = query.get("timeframe", [""])[0]
        try:
            stream = await in_thread(named_stream, named["kind"], symbol=named["symbol"], timeframe=timeframe)
        except AstradeError as error:
            self.refuse(error, code=NOT_FOUND)
            return
        self._streams = MarketStreams(hub=self.hub, outbox=self.outbox, active=self.active)
        await self._streams.add(stream)
        self._streams.start([stream.name])

    def closed(self) -> None:
        """Leave the stream."""
        if self._streams is not None:
            self._streams.close()
