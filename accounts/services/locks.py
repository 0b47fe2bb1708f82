"""The row that everything about one user waits for."""

from accounts.models import User, UserState
from astrade.core.errors import NotFound


def locked_user(user_id: int) -> User:
    """The user, locked until the transaction ends; raises NotFound for nobody and for a closed user."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).exclude(state=UserState.CLOSED).first()
    if user is None:
        raise NotFound("No such user")
    return user
