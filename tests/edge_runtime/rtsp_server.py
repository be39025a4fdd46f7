"""An RTSP server of GStreamer's; run by the Python that has its bindings, see test_runtime_sources_rtsp.

``python3 rtsp_server.py [USER:PASSWORD]`` prints its port and serves ``/test``: red, 160 x 120, 25
frames a second. It ends with its standard input.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
coder = "x264enc tune=zerolatency key-int-max=10 ! rtph264pay"
if Gst.ElementFactory.find("x264enc") is None:
    coder = "jpegenc ! rtpjpegpay"
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=red ! video/x-raw,width=160,height=120,framerate=25/1 "
    f"! videoconvert ! {coder} name=pay0 pt=96 )"
)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
if len(sys.argv) > 1:
    user, password = sys.argv[1].split(":")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    roles = GstRtspServer.RTSPPermissions()
    roles.add_permission_for_role("viewer", "media.factory.access", True)
    roles.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(roles)
server.get_mount_points().add_factory("/test", factory)
server.attach(None)
sys.stdout.write(f"{server.get_bound_port()}\n")
sys.stdout.flush()
loop = GLib.MainLoop()
threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
loop.run()
