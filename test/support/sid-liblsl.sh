#!/usr/bin/env bash
# Fetches the newest liblsl of Debian (sid) with the C library it needs into a folder, without root
# and without touching the system's packages, and prints the path for EEGD_LIBLSL:
#   EEGD_LIBLSL=$(bash test/support/sid-liblsl.sh /tmp/liblsl) npx vitest run test/drivers/lsl
# The tests then run their foreign peer under the loader that lies beside the library.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: sid-liblsl.sh FOLDER}" && cd "$1" && pwd)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/debs"
echo "deb [signed-by=$keys] http://deb.debian.org/debian sid main" >"$folder/sources.list"
cat >"$folder/apt.conf" <<END
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$folder/lists";
Dir::Cache "$folder/cache";
APT::Sandbox::User "root";
END
export APT_CONFIG="$folder/apt.conf"
{
  apt-get update -qq
  cd "$folder/debs"
  apt-get download -qq liblsl2 libpugixml1v5 libc6 libstdc++6 libgcc-s1
  for one in *.deb; do dpkg-deb -x "$one" "$folder/root"; done
} >&2
ls "$folder"/root/usr/lib/*/liblsl.so.2
