"""Written by `tortoise makemigrations`."""

# ruff: noqa: RUF012

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0001_initial")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ReplRow",
            name="saved_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="ReplRow",
            name="saved_version",
            field=fields.CharField(null=True, max_length=32),
        ),
        ops.AddField(
            model_name="ReplRow",
            name="unsafe",
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name="ReplRow",
            name="unsaved",
            field=fields.BooleanField(db_default=False),
        ),
    ]
