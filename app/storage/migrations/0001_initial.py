"""Written by `tortoise makemigrations`."""

# ruff: noqa: RUF012

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Link",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ("kind", fields.CharField(max_length=16)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "links",
                "app": "models",
                "pk_attr": "id",
                "table_description": "An invitation or a set-up link. `id` is the SHA-256 of its token.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ReplRow",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("slug", fields.CharField(unique=True, max_length=63)),
                ("owner_id", fields.CharField(db_index=True, max_length=32)),
                ("name", fields.CharField(max_length=80)),
                ("template", fields.CharField(max_length=64)),
                ("goal", fields.CharField(max_length=16)),
                ("phase", fields.CharField(max_length=16)),
                ("epoch", fields.BigIntField()),
                ("seeded", fields.BooleanField()),
                ("copy_of", fields.CharField(null=True, max_length=32)),
                ("failure", fields.TextField(null=True, unique=False)),
                ("stop_reason", fields.TextField(null=True, unique=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("opened_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("phase_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("purge_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("request_id", fields.CharField(null=True, max_length=64)),
                ("revision", fields.BigIntField()),
            ],
            options={
                "table": "repls",
                "app": "models",
                "unique_together": (("owner_id", "request_id"),),
                "pk_attr": "id",
                "table_description": "A Repl as `orchestrator.domain.Repl` has it, field by field.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("name", fields.CharField(max_length=40)),
                ("key", fields.CharField(unique=True, max_length=120)),
                ("password_hash", fields.CharField(max_length=255)),
                ("role", fields.CharField(max_length=16)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("disabled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "users",
                "app": "models",
                "pk_attr": "id",
                "table_description": "`key` is the name as it is compared: two users may not differ by case alone.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Session",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("seen_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ("browser", fields.CharField(db_default="", max_length=200)),
            ],
            options={
                "table": "sessions",
                "app": "models",
                "pk_attr": "id",
                "table_description": "One browser that is signed in. `id` is the SHA-256 of the token in its cookie.",
            },
            bases=["Model"],
        ),
    ]
