# What the scripts share. Sourced.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-test

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo > /dev/null; then sudo "$@"
  else echo "cannot run '$*': neither root nor sudo; install it by hand" >&2; return 1
  fi
}

# Servers that apt installs must not start by themselves.
forbid_autostart() {
  [ -e /usr/sbin/policy-rc.d ] && return
  echo "installing /usr/sbin/policy-rc.d, so that no service starts when a package is installed"
  printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d > /dev/null
  as_root chmod +x /usr/sbin/policy-rc.d
}

# Installs Debian packages by name, saying why: apt_install "what for" NAME..
apt_install() {
  local why=$1
  shift
  command -v apt-get > /dev/null || { echo "$* missing and there is no apt-get: install by hand" >&2; return 1; }
  forbid_autostart
  echo "installing $* by apt-get ($why)"
  # One at a time: stages may ask side by side.
  (
    flock 9
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  ) 9> "${TMPDIR:-/tmp}/tidemark-apt.lock"
}
