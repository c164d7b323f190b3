from django.db import migrations

TRIGGER = """
CREATE FUNCTION auth_user_switched_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM execution_site_signin WHERE user_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER auth_user_switched_off AFTER UPDATE OF is_active ON auth_user
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active)
    EXECUTE FUNCTION auth_user_switched_off();
"""
REVERSE = "DROP TRIGGER auth_user_switched_off ON auth_user; DROP FUNCTION auth_user_switched_off()"


class Migration(migrations.Migration):
    """Who is switched off is signed out for good, whichever way it is done."""

    dependencies = [("execution_site", "0011_sign_ins")]
    operations = [migrations.RunSQL(TRIGGER, REVERSE)]
