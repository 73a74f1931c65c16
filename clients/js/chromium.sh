#!/usr/bin/env bash
# Make Chromium available to the tests, or say why they go without. No browser is downloaded: Debian's package is taken.
set -euo pipefail

for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
  if [ -n "$name" ] && command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ]; then
  echo "LEFT OUT: the tests in Chromium. Install it (as root: apt-get install chromium), or set CHROMIUM to its path"
elif ! command -v apt-get >/dev/null; then
  echo "LEFT OUT: the tests in Chromium, which only apt-get can install here. Set CHROMIUM to the path of one"
elif ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } >/dev/null; then
  echo "LEFT OUT: the tests in Chromium, which apt-get could not install"
fi
