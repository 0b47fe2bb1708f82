"""`python -m benchmarks.peer.seed USERS`: fresh tables, an instrument, users; prints their tokens as JSON."""

import asyncio
import json
import sys
from decimal import Decimal

from sqlalchemy import select

from benchmarks.peer import config
from benchmarks.peer.database import SessionLocal, engine
from benchmarks.peer.models import Account, Base, Instrument, User
from benchmarks.peer.security import make_token


async def seed(users: int) -> list[str]:
    """Tokens of new users with one funded account each."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with SessionLocal() as session:
        session.add(
            Instrument(
                symbol="BTC-USD",
                tick_size=Decimal(1),
                step_size=Decimal("0.00001"),
                min_quantity=Decimal("0.0001"),
                taker_fee_rate=Decimal("0.00025"),
            )
        )
        people = [User(email=f"user{index}@example.com") for index in range(users)]
        session.add_all(people)
        await session.flush()
        session.add_all(Account(user_id=user.id, balance=config.INITIAL_BALANCE) for user in people)
        await session.commit()
        tokens = [make_token(user_uuid) for user_uuid in await session.scalars(select(User.uuid).order_by(User.id))]
    await engine.dispose()
    return tokens


if __name__ == "__main__":
    print(json.dumps(asyncio.run(seed(int(sys.argv[1])))))
