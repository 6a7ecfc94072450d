"""Written by `tortoise makemigrations`."""

# ruff: noqa: RUF012

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0003_copies_of_versions")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ReplRow",
            name="awake_until",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="ReplRow",
            name="extended_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="ReplRow",
            name="extended_s",
            field=fields.BigIntField(db_default=0),
        ),
    ]
