# InfluxDB 1.13.2 and its shell `influx`, built from the Go module. One administrator: user and password are printed.
about="InfluxDB 1.13.2 (Go module): replica, oracle for InfluxQL"
. "$here/components/influxdb.bash"
version=1.13.2
home=$cache/influxdb-$version

is_installed() { [ -x "$home/bin/influxd" ] && [ -x "$home/bin/influx" ]; }

install() {
  build_influxdb "$home" github.com/influxdata/influxdb "v$version" '' '' cmd/influxd cmd/influx
}

# Its RPC port for backups is of no use here, but it insists on one.
start() {
  cat > "$dir/influxdb.conf" <<CONF
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "$dir/meta"
[data]
dir = "$dir/data"
wal-dir = "$dir/wal"
[http]
bind-address = "127.0.0.1:$port"
auth-enabled = true
log-enabled = false
[monitor]
store-enabled = false
CONF
  background "$home/bin/influxd" -config "$dir/influxdb.conf"
}

is_healthy() {
  curl -sf "http://127.0.0.1:$port/ping" || return 1
  # The first user may be created without one; later that is refused, which is as good.
  curl -s "http://127.0.0.1:$port/query" -d "q=CREATE USER admin WITH PASSWORD 'tidemark-test' WITH ALL PRIVILEGES"
}

details() { printf 'username=admin\npassword=tidemark-test\nbin=%s\n' "$home/bin"; }
