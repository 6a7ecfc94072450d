"""Written by `tortoise makemigrations`."""

# ruff: noqa: RUF012

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0002_saved_versions")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ReplRow",
            name="copy_version",
            field=fields.CharField(null=True, max_length=32),
        ),
    ]
