"""What this app announces, each inside its own transaction: a receiver that raises undoes the whole thing.

Listeners live in the app that listens (`receivers.py`).
"""

from django.dispatch import Signal

user_registered = Signal()  # user_id: int. A person signed up.
user_frozen = Signal()  # user_id: int. Staff stopped the user from acting.
user_closing = Signal()  # user_id: int. The user is about to be closed; raise an AstradeError to refuse.
# user_id, credential_id, replaces: int | None (the row of the same account by its keys before). A venue account was
# connected.
venue_connected = Signal()
# user_id, credential_id: int. It is about to be let go of; raise an AstradeError to refuse.
venue_disconnecting = Signal()
