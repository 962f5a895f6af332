# What the search servers share. Sourced by their files, which set $product, $version, $java_min, $java_max and $flags.
#
# They come from Maven Central as the archives the products' own integration tests run, and do not start as root: with
# root they run as nobody, who must be able to read them, so that root's closed home is no place for them.

unprivileged=nobody
home=$(
  [ "$(id -u)" != 0 ] || cache=/var/cache/tidemark-test
  echo "$cache/$product-$version"
)

# The oldest Java that the server runs on: java_home prints its folder, or nothing.
java_home() {
  local release number found=
  for release in "${JAVA_HOME:-/nowhere}/release" /usr/lib/jvm/*/release; do
    [ -r "$release" ] || continue
    number=$(sed -n 's/^JAVA_VERSION="\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' "$release")
    [ -x "${release%/release}/bin/java" ] && [ -n "$number" ] || continue
    if [ "$number" -ge "$java_min" ] && [ "$number" -le "$java_max" ]; then
      found+="$number ${release%/release}"$'\n'
    fi
  done
  printf '%s' "$found" | sort -n | head -n 1 | cut -d ' ' -f 2-
}

has_java() {
  [ -z "$(java_home)" ] || return 0
  echo "$name needs a Java of $java_min to $java_max: none is in JAVA_HOME or /usr/lib/jvm" >&2
  return 1
}

# Debian has the Java of the older ones.
is_possible() { [ "$java_min" -le 17 ] || has_java; }

is_installed() { has_java && [ -x "$home/bin/$product" ]; }

install() {
  local group=org.$product.distribution.integ-test-zip archive
  if [ -z "$(java_home)" ] && is_possible; then
    apt_install "Java, for $product" openjdk-17-jre-headless
  fi
  has_java
  command -v mvn > /dev/null && command -v unzip > /dev/null \
    || apt_install "they fetch and unpack $product" maven unzip
  echo "installing $product $version from Maven Central into $home"
  mkdir -p "$(dirname "$home")"
  archive=$(mktemp -d "$(dirname "$home")/unpacking.XXXXXX")
  chmod 755 "$archive"
  mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    -Dartifact="$group:$product:$version:zip" -DoutputDirectory="$archive"
  unzip -q "$archive/$product-$version.zip" -d "$archive"
  rm -rf "$home"
  mv "$archive/$product-$version" "$home"
  chmod -R a+rX "$home"
  rm -rf "$archive"
}

# Its configuration, data, logs and temporary files lie in $dir: the installation is only read.
start() {
  local upper=${product^^} settings
  [ "$product" != elasticsearch ] || upper=ES
  mkdir -p "$dir/tmp"
  if [ ! -d "$dir/config" ]; then
    cp -r "$home/config" "$dir/config"
    # Its log of collections would go into the installation.
    sed -i '/Xlog:gc/d; /HeapDumpPath/d; /ErrorFile/d' "$dir/config/jvm.options"
  fi
  settings=("http.port=$port" http.host=127.0.0.1 transport.host=127.0.0.1 transport.port=0 discovery.type=single-node
    "path.data=$dir/data" "path.logs=$dir/logs" node.store.allow_mmap=false
    cluster.routing.allocation.disk.threshold_enabled=false "${flags[@]}")
  background_unprivileged env "${upper}_JAVA_HOME=$(java_home)" "${upper}_PATH_CONF=$dir/config" "${upper}_TMPDIR=$dir/tmp" \
    "${upper}_JAVA_OPTS=-Xms512m -Xmx512m -XX:TieredStopAtLevel=1" "$home/bin/$product" "${settings[@]/#/-E}"
}

is_healthy() {
  curl -sf "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s"
}

details() { printf 'version=%s\n' "$version"; }
