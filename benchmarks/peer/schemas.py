"""Bodies in and out."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class OrderIn(BaseModel):
    """A market order."""

    symbol: str = Field(max_length=32)
    side: Literal["buy", "sell"]
    type: Literal["market"] = "market"
    quantity: Decimal = Field(gt=0, max_digits=38, decimal_places=18)
    client_order_id: str = Field(min_length=1, max_length=64)


class OrderOut(BaseModel):
    """An order as the caller sees it."""

    model_config = ConfigDict(from_attributes=True)

    uuid: UUID
    number: int
    client_order_id: str
    side: str
    type: str
    quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal
    fee: Decimal
    status: str
    created_at: datetime
    updated_at: datetime
