#!/usr/bin/env bash
# ray.init("ray://HEAD:PORT") of Ray 2.60 fails with "connection timeout" and advice about closed ports when the head
# asks for a token, although the token lies in ~/.ray/auth_token on both sides and the port is open.
#
# Versions: ray[client] 2.60.0, Python 3.11.
#
# Behaviour: with RAY_AUTH_MODE unset, `ray start --head` switches token authentication on by itself where a token
# exists. The client of ray:// does not: it sends no token, the head answers every ping
# with UNAUTHENTICATED, the client takes that for "not ready yet", tries three times, and after about 30 s raises
# ConnectionError('ray client connection timeout') with the warning "Ensure that the Ray Client port on the head node
# is reachable". The head's answer is only in a message of level DEBUG. RAY_AUTH_MODE=token for the driver makes it work.
#
# Output seen:
#   ray://, RAY_AUTH_MODE unset:  ConnectionError: ray client connection timeout (31 s)
#   ray://, RAY_AUTH_MODE=token:  connected
#
# Why it matters: whoever follows the advice opens ports and firewalls, and nothing changes. A service that starts
# against a head at ray:// must set RAY_AUTH_MODE=token itself.
#
# Source: ray/util/client/worker.py, Worker._connect_channel (grpc.RpcError is logged at DEBUG and tried again);
# ray/_private/authentication/authentication_token_setup.py, maybe_enable_token_auth_if_token_available.
set -euo pipefail
work=$(mktemp -d /tmp/rf.XXXX)
stop() {
  pids=$(pgrep -f "$work/r/" || true)
  [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'ray[client]==2.60.0' 2>&1 | grep -v '^WARNING' || true
export HOME=$work RAY_USAGE_STATS_ENABLED=0 RAY_ENABLE_UV_RUN_RUNTIME_ENV=0
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH RAY_ADDRESS PYTHONPATH
ray="$work/venv/bin/ray"
"$ray" get-auth-token --generate >/dev/null 2>&1
read -r gcs client < <("$work/venv/bin/python" -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets: s.bind(("", 0))
print(*(s.getsockname()[1] for s in sockets))')
"$ray" start --head --port "$gcs" --ray-client-server-port "$client" --num-cpus 1 --include-dashboard=false \
  --object-store-memory 80000000 --temp-dir "$work/r" >/dev/null 2>&1
cat >"$work/join.py" <<'PY'
import sys, time, warnings, logging
warnings.simplefilter("ignore")
import ray
began = time.monotonic()
try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)
    ray.nodes()
    print("connected")
except Exception as error:
    print(f"{type(error).__name__}: {error} ({time.monotonic() - began:.0f} s)")
PY
cd "$work"
bare=$("$work/venv/bin/python" join.py "ray://127.0.0.1:$client" 2>/dev/null | tail -1)
told=$(RAY_AUTH_MODE=token "$work/venv/bin/python" join.py "ray://127.0.0.1:$client" 2>/dev/null | tail -1)
echo "ray://, RAY_AUTH_MODE unset:  $bare"
echo "ray://, RAY_AUTH_MODE=token:  $told"
[ "$told" = connected ] || { echo "changed: ray:// with RAY_AUTH_MODE=token does not connect"; exit 1; }
case $bare in
  *"connection timeout"*) ;;
  *) echo "changed: ray:// without RAY_AUTH_MODE no longer ends with 'connection timeout'"; exit 1 ;;
esac
