"""Engine, session and Redis, one of each a process."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.peer import config

engine = create_async_engine(config.DATABASE_URL, pool_size=20, max_overflow=0)
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)
redis: Redis = Redis.from_url(config.REDIS_URL)


async def get_session() -> AsyncIterator[AsyncSession]:
    """One session a request."""
    async with SessionLocal() as session:
        yield session
