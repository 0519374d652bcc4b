# Where `make fast-start` and `make force-stop` keep what they start. Sourced by both.
# shellcheck shell=bash disable=SC2034
state=.balancer
admin_port=9090
proxy_port=8080
backend_ports=(8081 8082 8083)

# The program that a process runs, by its file name; empty when there is no such process, or it has ended and merely
# waits to be reaped (in a container nobody may do that).
program_of() {
  if [ -d /proc/self ]; then
    sed -n 's/^[0-9]* (\(.*\)) [^Z] .*/\1/p' "/proc/$1/stat" 2>/dev/null
  else
    ps -p "$1" -o comm= 2>/dev/null | sed 's|.*/||'
  fi
}

# A pid file is NAME.PROGRAM.pid. The number may have gone to another process since, so the program is checked.
running_pid() {
  local program pid
  program=${1%.pid}
  program=${program##*.}
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && [ "$(program_of "$pid")" = "$program" ] && echo "$pid"
}
