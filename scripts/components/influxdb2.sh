# InfluxDB 2.7.12, built from the Go module and set up: token, organisation and bucket are printed.
about="InfluxDB 2.7.12 (Go module): replica"
. "$here/components/influxdb.bash"
version=2.7.12
home=$cache/influxdb-$version

is_installed() { [ -x "$home/bin/influxd" ]; }

install() {
  build_influxdb "$home" github.com/influxdata/influxdb/v2 "v$version" sqlite_foreign_keys,sqlite_json \
    'replace github.com/nats-io/nats-streaming-server v0.11.2 => github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803' \
    cmd/influxd
}

start() {
  background "$home/bin/influxd" --bolt-path "$dir/influxd.bolt" --engine-path "$dir/engine" \
    --sqlite-path "$dir/influxd.sqlite" --http-bind-address "127.0.0.1:$port" --reporting-disabled --log-level warn
}

is_healthy() {
  curl -sf "http://127.0.0.1:$port/health" || return 1
  # Set up once; a server that has its data already refuses it, which is as good.
  curl -s "http://127.0.0.1:$port/api/v2/setup" -H 'content-type: application/json' \
    -d '{"username": "admin", "password": "tidemark-test", "org": "tidemark", "bucket": "first", "token": "tidemark-test-token"}'
}

details() { printf 'token=tidemark-test-token\norg=tidemark\nbucket=first\n'; }
