"""`/ws/progress`: a player's XP, levels, missions, achievements and streaks as they change."""

from astrade.core.permissions import Caller
from astrade.core.sockets.private import ForwardingConsumer
from gamification.frames import channel_of


class ProgressConsumer(ForwardingConsumer):
    """Forwards the player's own channel."""

    def channel_of(self, caller: Caller) -> str:
        """Nobody else's."""
        return channel_of(caller.user_id)
