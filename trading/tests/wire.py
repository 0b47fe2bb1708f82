"""A TCP proxy in front of PostgreSQL that counts the turns of the conversation."""

import select
import socket
import threading
import time
from typing import Self

CHUNK_BYTES = 1 << 16
REPLY_DELAY_S = 0.003  # an answer is held back, so that a client which doesn't wait for it shows


class CountingProxy:
    """One client at a time; `turns` grows when the client speaks after it was handed an answer."""

    def __init__(self, host: str, port: int) -> None:
        self.upstream, self.turns = (host, port), 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(self.upstream) as server:
                self._converse(client, server)

    def _converse(self, client: socket.socket, server: socket.socket) -> None:
        client_may_speak = True
        while True:
            ready, _, _ = select.select([client, server], [], [])
            for source, sink in ((client, server), (server, client)):
                if source not in ready:
                    continue
                if source is server:
                    time.sleep(REPLY_DELAY_S)
                chunk = source.recv(CHUNK_BYTES)
                if not chunk:
                    return
                if source is client and client_may_speak:
                    self.turns += 1
                client_may_speak = source is server
                sink.sendall(chunk)
