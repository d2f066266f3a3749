#!/usr/bin/env bash
# awscrt's MQTT 5 client logs in to every broker with another user name than the one it is given.
#
# Versions: awscrt 0.38.1, Python 3.11; also seen with mosquitto 2.0 (CONNACK 135, not authorized).
#
# Behaviour: ConnectPacket(username="anna") is sent as "anna?SDK=IoTDeviceSDK/Python&Platform=...": metrics for AWS IoT
# Core, appended to the user name of every connection, whatever the host. A broker that knows "anna" refuses the right
# password, and nothing tells why. ClientOptions(disable_metrics=True) sends the name as it is.
#
# Output seen:
#   by default       anna?SDK=IoTDeviceSDK/Python&Platform=Unix&Metadata=(CRTVersion=0.38.1;...)
#   disable_metrics  anna
#
# Why it matters: awscrt (C underneath) publishes at a multiple of the rate of clients written in Python, which makes it
# a candidate for events of many cameras. With a password file, as Mosquitto and Home Assistant have one, no login
# works until the option is found. Without a user name nothing is refused, so tests without login do not show it.
#
# Source: awscrt/mqtt5.py, ClientOptions.disable_metrics (default False) and Client.__init__ (_create_metrics_mqtt5).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check awscrt==0.38.1
cat > check.py <<'PY'
import socket
import struct
import sys

from awscrt import mqtt5


def user_name(**options):
    """The user name in the CONNECT packet that a client sends to a socket of this process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        connect = mqtt5.ConnectPacket(client_id="test", username="anna", password="right")
        port = server.getsockname()[1]
        client = mqtt5.Client(mqtt5.ClientOptions("127.0.0.1", port, connect_options=connect, **options))
        client.start()
        connection, _ = server.accept()
        connection.settimeout(10)
        packet = connection.recv(65536)
        client.stop()
        connection.close()
    at, shift, length = 1, 0, 0
    while True:  # remaining length
        length |= (packet[at] & 127) << shift
        shift += 7
        at += 1
        if not packet[at - 1] & 128:
            break
    at += 2 + 4 + 1 + 1 + 2  # "MQTT", version, flags, keep alive
    at += 1 + packet[at]  # properties, less than 128 bytes
    fields = []
    for _ in range(3):  # client id, user name, password: there is no will
        (size,) = struct.unpack_from("!H", packet, at)
        fields.append(packet[at + 2 : at + 2 + size].decode())
        at += 2 + size
    return fields[1]


default, plain = user_name(), user_name(disable_metrics=True)
print(f"by default       {default}")
print(f"disable_metrics  {plain}")
if not (default.startswith("anna?SDK=") and plain == "anna"):
    sys.exit("awscrt sends the user name as it is given now")
PY
venv/bin/python check.py
