# MariaDB 10.11 of Debian, in a folder of its own. User `root` with the password `tidemark` on loopback, binary log by
# rows, no time zones loaded. Certificates laid into `tls/` of the folder before a start (`ca.pem`, `cert.pem`,
# `key.pem`) turn TLS on; changed ones are read by FLUSH SSL.
about="MariaDB 10.11 (apt): SQL source, change stream"
unprivileged=mysql

server() { PATH=$PATH:/usr/sbin command -v mariadbd; }

is_installed() { server > /dev/null; }

install() { apt_install "MariaDB, a source in tests" mariadb-server; }

# An empty data folder, made once for each version: a start copies it.
template() {
  local template
  template=$cache/mariadb-$("$(server)" --version | sed 's/.*Ver \([^ ]*\) .*/\1/')
  mkdir -p "$cache"
  (
    flock 9
    [ -d "$template" ] && exit
    rm -rf "$template.new"
    mariadb-install-db --no-defaults --datadir="$template.new" --user="$(id -un)" --skip-test-db --skip-name-resolve \
      --auth-root-authentication-method=normal --skip-log-bin --innodb-log-file-size=8M >> "$dir/log" 2>&1
    mv "$template.new" "$template"
  ) 9> "$cache/mariadb.lock" || { cat "$dir/log" >&2; return 1; }
  echo "$template"
}

start() {
  local tls=()
  if [ ! -d "$dir/data" ]; then
    local template
    template=$(template)
    cp -r "$template" "$dir/data"
  fi
  cat > "$dir/init.sql" <<'SQL'
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY 'tidemark';
ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY 'tidemark';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
SQL
  if [ -f "$dir/tls/cert.pem" ]; then
    tls=("--ssl-ca=$dir/tls/ca.pem" "--ssl-cert=$dir/tls/cert.pem" "--ssl-key=$dir/tls/key.pem")
  fi
  background_unprivileged "$(server)" --no-defaults --datadir="$dir/data" --port="$port" --bind-address=127.0.0.1 \
    --socket="$dir/socket" --pid-file="$dir/pid" --init-file="$dir/init.sql" --skip-name-resolve --max-connections=60 \
    --log-bin=binlog --binlog-format=ROW --server-id=1 --sync-binlog=0 --innodb-log-file-size=8M \
    --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync "${tls[@]}"
}

is_healthy() {
  mariadb-admin --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u root -ptidemark --connect-timeout=5 ping
}
