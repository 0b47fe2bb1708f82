"""JWT in, user out."""

import time
import uuid
from typing import Annotated

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.peer import config
from benchmarks.peer.database import get_session
from benchmarks.peer.models import User

oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


def make_token(user_uuid: uuid.UUID) -> str:
    """A bearer token of one user."""
    claims = {"sub": str(user_uuid), "exp": int(time.time()) + config.TOKEN_LIFETIME_S}
    return jwt.encode(claims, config.JWT_SECRET, algorithm=config.JWT_ALGORITHM)


async def get_current_user(
    token: Annotated[str, Depends(oauth2_scheme)], session: Annotated[AsyncSession, Depends(get_session)]
) -> User:
    """The active user a token names; 401 otherwise."""
    try:
        claims = jwt.decode(token, config.JWT_SECRET, algorithms=[config.JWT_ALGORITHM])
        user_uuid = uuid.UUID(claims["sub"])
    except (jwt.PyJWTError, KeyError, ValueError) as exc:
        raise HTTPException(401, "Invalid token") from exc
    user = await session.scalar(select(User).where(User.uuid == user_uuid))
    if user is None or not user.is_active:
        raise HTTPException(401, "Invalid token")
    return user
