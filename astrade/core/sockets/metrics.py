"""What operators see of the sockets."""

from prometheus_client import Counter, Gauge

OPEN = Gauge("astrade_sockets_open", "Open WebSockets of this process", ["consumer"], multiprocess_mode="livesum")
REFUSED = Counter("astrade_sockets_refused_total", "Connections refused because there were too many", ["subject"])
CLOSED = Counter("astrade_sockets_closed_total", "Connections the server closed, by close code", ["code"])
SENT = Counter("astrade_socket_frames_sent_total", "Frames written to sockets")
RECEIVED = Counter("astrade_socket_frames_received_total", "Frames read from sockets", ["outcome"])
DROPPED = Counter("astrade_socket_frames_dropped_total", "Frames not sent because their reader was too slow")
CONFLATED = Counter(
    "astrade_socket_streams_conflated_total", "Times a slow reader's stream was cut to its latest state"
)
CAUGHT_UP = Counter("astrade_socket_catch_ups_total", "Times an account's missed frames were read from the database")
HUB_RECONNECTS = Counter("astrade_hub_reconnects_total", "Times the hub lost its Redis connection")
HUB_CHANNELS = Gauge("astrade_hub_channels", "Channels the hub listens to", multiprocess_mode="livesum")
