# Compose, as a plugin of docker or as a program of its own. Sourced by docker-up and docker-down.
# shellcheck shell=bash disable=SC2034
if docker compose version >/dev/null 2>&1; then
  compose_name='docker compose'
  compose() { docker compose "$@"; }
elif command -v docker-compose >/dev/null; then
  compose_name='docker-compose'
  compose() { docker-compose "$@"; }
else
  echo "docker compose is not installed (Debian: apt-get install docker.io docker-compose)" >&2
  exit 1
fi

if ! docker info >/dev/null 2>&1; then
  echo "docker does not answer: start its daemon (systemctl start docker), or join the group docker ('docker info' says more)" >&2
  exit 1
fi
