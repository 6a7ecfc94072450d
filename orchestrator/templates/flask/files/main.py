from flask import Flask, render_template, request

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return render_template("home.html", name=request.args.get("name", "world"))


@app.get("/api/square/<int:number>")
def square(number: int) -> dict[str, int]:
    return {"number": number, "square": number * number}
