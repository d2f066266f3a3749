"""An ONVIF device on loopback: device and media service, with the digest of WS-Security UsernameToken."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

__all__ = ["OnvifDevice"]

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error">'
    "<s:Body>{}</s:Body></s:Envelope>"
)
_SERVICES = "".join(
    f"<tds:Service><tds:Namespace>http://www.onvif.org/ver10/{name}/wsdl</tds:Namespace>"
    f"<tds:XAddr>http://192.168.1.64/onvif/{name}</tds:XAddr>"
    "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
    for name in ("device", "media")
)
_CLOCK = (
    "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>12</tt:Hour>"
    "<tt:Minute>0</tt:Minute><tt:Second>0</tt:Second></tt:Time><tt:Date><tt:Year>2026</tt:Year><tt:Month>1</tt:Month>"
    "<tt:Day>1</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
)
_REFUSED = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>"
    '<s:Reason><s:Text xml:lang="en">Sender not authorized</s:Text></s:Reason></s:Fault>'
)


def _profile(token: str, width: int, height: int) -> str:
    return (
        f'<trt:Profiles fixed="true" token="{token}"><tt:Name>{token}</tt:Name>'
        f'<tt:VideoEncoderConfiguration token="v{token}"><tt:Name>v</tt:Name><tt:Encoding>H264</tt:Encoding>'
        f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
        "<tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration>"
        "</trt:Profiles>"
    )


class OnvifDevice:
    """A device at ``127.0.0.1:port`` that believes to be at 192.168.1.64.

    Args:
        user: Of its account.
        password: Of its account.
        streams: Address of each profile, by its token.

    Attributes:
        said: Everything that it was sent, headers too.
    """

    def __init__(self, user: str, password: str, streams: dict[str, str]) -> None:
        self.user, self.password, self.streams = user, password, streams
        self.said: list[str] = []
        device = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                device.said.append(f"{self.headers}{body}")
                status, text = device.answer(body)
                data = _ENVELOPE.format(text).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)

    def answer(self, body: str) -> tuple[int, str]:
        """Status and body of an answer."""
        if "GetSystemDateAndTime" in body:  # the specification wants this one without an account
            return 200, _CLOCK
        if not self.lets_in(body):
            return 400, _REFUSED
        if "GetServices" in body:
            return 200, f"<tds:GetServicesResponse>{_SERVICES}</tds:GetServicesResponse>"
        if "GetProfiles" in body:
            profiles = "".join(_profile(token, 640 * n, 360 * n) for n, token in enumerate(self.streams, 1))
            return 200, f"<trt:GetProfilesResponse>{profiles}</trt:GetProfilesResponse>"
        if "GetStreamUri" in body:
            token = next(token for token in self.streams if f">{token}<" in body)
            uri = f"<trt:MediaUri><tt:Uri>{self.streams[token]}</tt:Uri></trt:MediaUri>"
            return 200, f"<trt:GetStreamUriResponse>{uri}</trt:GetStreamUriResponse>"
        return 500, _REFUSED

    def lets_in(self, body: str) -> bool:
        """Whether the digest is that of the account: base64(SHA-1(nonce + created + password))."""
        found = {
            name: re.search(rf"<(?:\w+:)?{name}(?: [^>]*)?>([^<]*)<", body)
            for name in ("Username", "Password", "Nonce", "Created")
        }
        values = {name: match.group(1) for name, match in found.items() if match is not None}
        if len(values) < len(found) or values["Username"] != self.user:
            return False
        told = base64.b64decode(values["Nonce"]) + values["Created"].encode() + self.password.encode()
        return values["Password"] == base64.b64encode(hashlib.sha1(told).digest()).decode()

    def __enter__(self) -> OnvifDevice:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
