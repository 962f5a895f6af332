# PostgreSQL 15 of Debian, in a cluster of its own. User postgres, no password (trust) on loopback.
about="PostgreSQL 15 (apt): SQL source"
unprivileged=postgres

bin() { ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -n 1; }

is_installed() { [ -n "$(bin)" ] && [ -x "$(bin)/postgres" ]; }

install() { apt_install "PostgreSQL, a source in tests" postgresql; }

start() {
  local bin
  bin=$(bin)
  if [ ! -f "$dir/data/PG_VERSION" ]; then
    background_unprivileged "$bin/initdb" -D "$dir/data" -A trust -U postgres --encoding UTF8 --locale C.UTF-8 --no-sync
    wait "$pid"
  fi
  background_unprivileged "$bin/postgres" -D "$dir/data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=off -c max_connections=60
}

# Fast shutdown: clients are cut off.
stop() { kill -INT "$pid" 2> /dev/null || true; }

is_healthy() { "$(bin)/pg_isready" -q -h 127.0.0.1 -p "$port" -U postgres; }
