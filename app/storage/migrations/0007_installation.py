"""Written by `tortoise makemigrations`, but for the row."""

# ruff: noqa: RUF012

import secrets
from typing import Any

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


async def name(apps: Any, editor: Any) -> None:
    made = f"INSERT INTO installations (id) VALUES ('{secrets.token_hex(16)}')"  # noqa: S608  # dialects bind otherwise
    await editor.client.execute_script(made)


class Migration(migrations.Migration):
    dependencies = [("models", "0006_changes_are_told")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Installation",
            fields=[("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32))],
            options={
                "table": "installations",
                "app": "models",
                "pk_attr": "id",
                "table_description": "One row, made with the table: by its id a cluster knows whose REPLs it runs.",
            },
            bases=["Model"],
        ),
        ops.RunPython(name),
    ]
