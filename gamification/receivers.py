"""What the game does on other apps' news. It is a guest: its work runs in a savepoint and never raises."""

import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.dispatch import receiver

from accounts.signals import user_closing
from gamification.services import leave_boards

logger = logging.getLogger(__name__)


@receiver(user_closing)
def on_user_closing(sender: Any, *, user_id: int, **kwargs: Any) -> None:
    """A closed user stands on no board."""
    try:
        with transaction.atomic():
            leave_boards(user_id=user_id)
    except DatabaseError:
        logger.exception("game_receiver_failed", extra={"user_id": user_id})
