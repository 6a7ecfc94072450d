"""On PostgreSQL, which several servers may use, each change of a Repl is told to all that listen."""

# ruff: noqa: RUF012

from typing import Any

from tortoise import migrations
from tortoise.migrations import operations as ops

FUNCTION = """
CREATE FUNCTION devex_tell_repl() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('devex_repls', OLD.id || ' ');
    ELSE
        PERFORM pg_notify('devex_repls', NEW.id || ' ' || NEW.revision);
    END IF;
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER devex_tell_repl AFTER INSERT OR UPDATE OR DELETE ON repls
FOR EACH ROW EXECUTE FUNCTION devex_tell_repl()
"""


async def tell(apps: Any, editor: Any) -> None:
    if editor.client.capabilities.dialect == "postgres":
        await editor.client.execute_script(FUNCTION)
        await editor.client.execute_script(TRIGGER)


class Migration(migrations.Migration):
    dependencies = [("models", "0005_lacks")]

    initial = False

    operations = [ops.RunPython(tell)]
