# Building InfluxDB from its Go modules; influxdb1.sh and influxdb2.sh source it. About four minutes each, once.
# Half of its Flux engine is Rust: Go asks `pkg-config` for it, and InfluxData's tool of that name builds it by cargo.

. "$here/lib.sh"

# build_influxdb FOLDER MODULE VERSION TAGS REPLACE PACKAGE..: the packages' programs in FOLDER/bin.
build_influxdb() {
  local folder=$1 module=$2 version=$3 tags=$4 replace=$5 tool
  shift 5
  for tool in go cargo cc; do
    command -v "$tool" > /dev/null || { echo "building InfluxDB needs $tool: install it by hand" >&2; return 1; }
  done
  mkdir -p "$cache"
  echo "building InfluxDB $version from its Go module into $folder (minutes, once)"
  (
    flock 9
    ! is_installed || exit 0
    local work
    work=$(mktemp -d "$cache/build-influxdb.XXXXXX")
    trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
    cd "$work"
    # A wrapper, since today's compiler warns of what that crate denies.
    printf '#!/bin/sh\nexec "$@" --cap-lints warn\n' > rustc-wrapper
    chmod +x rustc-wrapper
    GOBIN=$work/tools go install github.com/influxdata/pkg-config@v0.2.14
    printf 'module scratch\n\ngo %s\n\nrequire %s %s\n%s\n' \
      "$(go env GOVERSION | sed 's/^go//')" "$module" "$version" "$replace" > go.mod
    cp "$(go mod download -json "$module@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/go.sum" go.sum
    chmod u+w go.sum
    local package
    for package in "$@"; do
      GOTOOLCHAIN=local GOFLAGS=-mod=mod PKG_CONFIG=$work/tools/pkg-config RUSTC_WRAPPER=$work/rustc-wrapper \
        RUSTUP_TOOLCHAIN=stable CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2} \
        go build -tags "$tags" -trimpath -ldflags '-s -w' -o "bin/$(basename "$package")" "$module/$package"
    done
    mkdir -p "$folder"
    mv bin "$folder/bin"
  ) 9> "$cache/build-influxdb.lock"
}
