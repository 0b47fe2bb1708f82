#!/bin/sh
# Runs once, when the database of docker-compose.yml is made: the login of everything but `migrate`. Its rights come
# from `manage.py migrate`, which gives it none to change ledger, events or audit trail.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$APP_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE astrade_app LOGIN PASSWORD :'password';
SQL
