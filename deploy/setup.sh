#!/usr/bin/env bash
# Everything a fresh Debian needs for: python (virtual environment only), demo, test.
# Usage: deploy/setup.sh {python|demo|test}
set -euo pipefail
cd "$(dirname "$0")/.."
want=${1:?usage: deploy/setup.sh python|demo|test}

# command -> Debian package
declare -A package=(
  [prosody]=prosody [nft]=nftables [ip]=iproute2 [unshare]=util-linux [ping]=iputils-ping
  [nmap]=nmap [hydra]=hydra [hping3]=hping3 [tcpreplay]=tcpreplay [curl]=curl [tcpdump]=tcpdump
  [ejabberdctl]=ejabberd [chromium]=chromium [chromedriver]=chromium-driver [setpriv]=util-linux [cc]=build-essential
  [ptunnel]=ptunnel [dns2tcpc]=dns2tcp [atk6-flood_router6]=thc-ipv6 [redis-cli]=redis-tools [svmap]=sipvicious [mbpoll]=mbpoll
)
case $want in
  python) commands=() ;;
  demo) commands=(prosody nft ip unshare ping nmap hydra curl) ;;
  test) commands=(prosody nft ip unshare setpriv ping nmap hydra hping3 tcpreplay curl tcpdump ptunnel dns2tcpc atk6-flood_router6 redis-cli svmap mbpoll ejabberdctl chromium chromedriver cc) ;;
  *) echo "deploy/setup.sh: unknown set '$want' (python, demo or test)" >&2; exit 2 ;;
esac
export PATH=$PATH:/usr/sbin:/sbin

missing=()
for command in "${commands[@]}"; do
  command -v "$command" >/dev/null || missing+=("${package[$command]}")
done
# A library, not a command: the kernel filter of a capture is compiled with it.
# (No grep -q: it stops reading, ldconfig dies of that, and pipefail takes it for "not found".)
if [ "$want" != python ] && ! ldconfig -p | grep 'libpcap\.so' >/dev/null; then missing+=(libpcap0.8); fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then missing+=(python3); fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then missing+=(python3-venv); fi

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  if [ "$(id -u)" = 0 ]; then as_root=(env); elif sudo -n true 2>/dev/null; then as_root=(sudo); else
    echo "setup: missing Debian packages and no root to install them: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  command -v apt-get >/dev/null || { echo "setup: no apt-get here; install by hand: ${missing[*]}" >&2; exit 1; }
  echo "setup: installing ${missing[*]}"
  # prosody and ejabberd would start as system services on public ports; we only want the programs.
  policy=/usr/sbin/policy-rc.d made_policy=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
    made_policy=yes
  fi
  trap '[ -z "$made_policy" ] || "${as_root[@]}" rm -f $policy' EXIT
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2; rm -f "$log"
    echo "setup: apt-get could not install ${missing[*]}" >&2; exit 1
  fi
  rm -f "$log"
  for service in prosody ejabberd; do
    if [[ " ${missing[*]} " == *" $service "* ]] && command -v systemctl >/dev/null; then
      "${as_root[@]}" systemctl disable --quiet "$service" 2>/dev/null || true
    fi
  done
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "setup: $(python3 --version) is too old: Python 3.11 is needed (Debian 12 or newer)" >&2; exit 1
}

# The virtual environment is renewed when what it is made from changes; its scripts hold this folder's path.
stamp=.venv/.made-from
now=$({ pwd -P; cat pyproject.toml constraints.txt; } | sha256sum | cut -d' ' -f1)
if [ "$(cat $stamp 2>/dev/null)" != "$now" ] || ! .venv/bin/ontoidps --version >/dev/null 2>&1; then
  echo "setup: virtual environment .venv (pinned by constraints.txt)"
  rm -f $stamp
  # One that was cut off, moved here, or whose Python has gone can't be mended: made anew.
  [ "$(.venv/bin/python -m pip --version 2>/dev/null | sed -n 's|.* from \(.*\)/lib/python.*|\1|p')" = "$(pwd -P)/.venv" ] ||
    python3 -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable . --group dev
  .venv/bin/python -m ontology.reasoner.class_cache ontology/ontoidps.owl rules/correlation.owl ||
    echo "setup: without that cache every start of the reasoner takes a second longer" >&2
  echo "$now" >$stamp
fi
