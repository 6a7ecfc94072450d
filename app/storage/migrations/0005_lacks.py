"""Written by `tortoise makemigrations`."""

# ruff: noqa: RUF012

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0004_extensions")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ReplRow",
            name="lacks",
            field=fields.TextField(null=True, unique=False),
        ),
    ]
