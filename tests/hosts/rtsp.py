"""A live RTSP server and its client, on the loopback device: rtspsrc -> upscalefilter, with the time from camera to screen."""

import threading

import gi

from common import CAPS, ELEMENT, Gst, follow, latency_of, push_numbered, start, stats, stop, tell_latency, watch

gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, GstRtspServer  # noqa: E402

FRAMES, ENOUGH = 120, 50
sent = []


def camera(_factory, media):
    sent.append(push_numbered(media.get_element().get_by_name("camera"), FRAMES, live=True))


loop = GLib.MainLoop()
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch(
    f"( appsrc name=camera is-live=true do-timestamp=true format=time caps={CAPS} ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 )"
)
factory.connect("media-configure", camera)
server.get_mount_points().add_factory("/camera", factory)
assert server.attach(None)
threading.Thread(target=loop.run, daemon=True).start()

pipeline = Gst.parse_launch(
    f"rtspsrc location=rtsp://127.0.0.1:{server.get_bound_port()}/camera latency=40 ! rtph264depay ! avdec_h264 ! "
    f"{ELEMENT} name=upscale ! fakesink name=sink sync=true"
)
frames = watch(pipeline, limit=ENOUGH)
start(pipeline)
follow(pipeline, frames.enough)
declared = latency_of(pipeline)
figures = stats(pipeline)
stop(pipeline)
loop.quit()
frames.check(strictly=False)
frames.check_numbers(figures)
assert figures["reorders"] == 0, figures
tell_latency("rtsp", declared, frames.latencies(sent[0]))
