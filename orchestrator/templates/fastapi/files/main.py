from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

app = FastAPI(title="My API")


class Item(BaseModel):
    name: str
    price: float
    amount: int = 1


items: list[Item] = []


@app.get("/", include_in_schema=False)
def home() -> RedirectResponse:
    return RedirectResponse("/docs")


@app.get("/items")
def list_items() -> list[Item]:
    return items


@app.post("/items", status_code=201)
def add_item(item: Item) -> Item:
    items.append(item)
    return item
