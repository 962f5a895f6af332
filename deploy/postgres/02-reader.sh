#!/bin/sh
# The account Tidemark reads with: it can select and nothing else.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -v password="$READER_PASSWORD" <<'SQL'
CREATE ROLE tidemark LOGIN PASSWORD :'password';
ALTER ROLE tidemark SET default_transaction_read_only = on;
GRANT SELECT ON registrations, orders, applications, repayments TO tidemark;
SQL
