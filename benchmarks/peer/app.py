"""`uvicorn benchmarks.peer.app:app`"""

from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.peer import services
from benchmarks.peer.database import get_session
from benchmarks.peer.models import Order, User
from benchmarks.peer.schemas import OrderIn, OrderOut
from benchmarks.peer.security import get_current_user

app = FastAPI(title="Peer")


@app.post("/orders", status_code=201, response_model=OrderOut)
async def place_order(
    form: OrderIn,
    user: Annotated[User, Depends(get_current_user)],
    session: Annotated[AsyncSession, Depends(get_session)],
) -> Order:
    """Place a practice market order."""
    return await services.place_market_order(session, user=user, form=form)


@app.get("/health")
async def health() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}
