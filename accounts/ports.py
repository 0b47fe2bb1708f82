"""What this app needs from apps above it, which enter themselves here when they start."""

import uuid
from collections.abc import Callable

from astrade.core.errors import NotFound

Resolve = Callable[[int, uuid.UUID], int | None]


class AccountResolver:
    """Turns the public id of a user's trading account into its row id, once somebody who knows them has registered."""

    def __init__(self) -> None:
        self._resolve: Resolve | None = None

    def register(self, resolve: Resolve) -> None:
        """`resolve(user_id, account_uuid)` answers None for an account that isn't the user's or can't be used."""
        self._resolve = resolve

    def __call__(self, *, user_id: int, account_uuid: uuid.UUID) -> int:
        """The account's row id; raises NotFound for another user's account as for one that doesn't exist."""
        row_id = self._resolve(user_id, account_uuid) if self._resolve else None
        if row_id is None:
            raise NotFound("No such trading account", details={"account": str(account_uuid)})
        return row_id


account_resolver = AccountResolver()
