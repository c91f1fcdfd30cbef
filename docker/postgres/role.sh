#!/bin/sh
# Once, when the cluster is made: the role of the site. It owns its database and may make another one,
# into which `manage.py check_backup` restores; it is no superuser (RELIABILITY S1).
set -eu
psql -v ON_ERROR_STOP=1 -v password="$TIEBREAK_PASSWORD" --username postgres <<'SQL'
CREATE ROLE tiebreak LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE tiebreak OWNER tiebreak;
SQL
