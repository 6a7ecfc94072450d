"""What is kept in the database. Secrets are kept as hashes; all times are UTC.

After a change: `tortoise -c app.storage.database.TORTOISE_ORM makemigrations`; columns added later need `db_default`.
"""

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """`key` is the name as it is compared: two users may not differ by case alone."""

    id = fields.CharField(max_length=32, primary_key=True)
    name = fields.CharField(max_length=40)
    key = fields.CharField(max_length=120, unique=True)
    password_hash = fields.CharField(max_length=255)
    role = fields.CharField(max_length=16)
    created_at = fields.DatetimeField()
    disabled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "users"


class Session(Model):
    """One browser that is signed in, or one token of a script, with its name in place of the browser's. `id` is the
    SHA-256 of what the cookie or the script holds.
    """

    id = fields.CharField(max_length=64, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name="sessions")
    user_id: str
    created_at = fields.DatetimeField()
    seen_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(db_index=True)
    browser = fields.CharField(max_length=200, db_default="")
    is_token = fields.BooleanField(db_default=False)

    class Meta:
        table = "sessions"


class Link(Model):
    """An invitation or a set-up link. `id` is the SHA-256 of its token."""

    id = fields.CharField(max_length=64, primary_key=True)
    kind = fields.CharField(max_length=16)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "links"


class Installation(Model):
    """One row, made with the table: by its id a cluster knows whose REPLs it runs."""

    id = fields.CharField(max_length=32, primary_key=True)

    class Meta:
        table = "installations"


class ReplRow(Model):
    """A Repl as `orchestrator.domain.Repl` has it, field by field."""

    id = fields.CharField(max_length=32, primary_key=True)
    slug = fields.CharField(max_length=63, unique=True)
    owner_id = fields.CharField(max_length=32, db_index=True)
    name = fields.CharField(max_length=80)
    template = fields.CharField(max_length=64)
    goal = fields.CharField(max_length=16)
    phase = fields.CharField(max_length=16)
    epoch = fields.BigIntField()
    seeded = fields.BooleanField()
    copy_of = fields.CharField(max_length=32, null=True)
    copy_version = fields.CharField(max_length=32, null=True)
    lacks = fields.TextField(null=True)
    failure = fields.TextField(null=True)
    stop_reason = fields.TextField(null=True)
    awake_until = fields.DatetimeField(null=True)
    extended_at = fields.DatetimeField(null=True)
    extended_s = fields.BigIntField(db_default=0)
    unsaved = fields.BooleanField(db_default=False)
    saved_version = fields.CharField(max_length=32, null=True)
    saved_at = fields.DatetimeField(null=True)
    unsafe = fields.TextField(null=True)
    created_at = fields.DatetimeField()
    opened_at = fields.DatetimeField()
    phase_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)
    purge_at = fields.DatetimeField(null=True)
    request_id = fields.CharField(max_length=64, null=True)
    revision = fields.BigIntField()

    class Meta:
        table = "repls"
        unique_together = (("owner_id", "request_id"),)


class MemberRow(Model):
    """Somebody whom the owner of a Repl has let into it. Gone with the Repl."""

    id = fields.IntField(primary_key=True)
    repl: fields.ForeignKeyRelation[ReplRow] = fields.ForeignKeyField("models.ReplRow", related_name="members")
    repl_id: str
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="memberships", db_index=True
    )
    user_id: str
    role = fields.CharField(max_length=16)
    created_at = fields.DatetimeField()

    class Meta:
        table = "members"
        unique_together = (("repl", "user"),)
