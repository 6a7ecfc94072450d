"""Written by `tortoise makemigrations`."""

# ruff: noqa: RUF012

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0007_installation")]

    initial = False

    operations = [
        ops.AddField(
            model_name="Session",
            name="is_token",
            field=fields.BooleanField(db_default=False),
        ),
    ]
