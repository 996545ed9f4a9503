"""MPEG-TS over SRT on the loopback device."""

import socket

from common import CAPS, ELEMENT, Gst, follow, latency_of, push_numbered, start, stats, stop, tell_latency, watch

FRAMES, ENOUGH = 100, 60

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]

# The receiver listens before anything is sent, so that nothing is missed.
receiver = Gst.parse_launch(
    f"srtsrc uri=srt://127.0.0.1:{port}?mode=listener latency=40 ! tsdemux latency=40 ! h264parse ! avdec_h264 ! queue ! "
    f"{ELEMENT} name=upscale ! fakesink name=sink sync=true"
)
frames = watch(receiver, limit=ENOUGH)
start(receiver)
sender = Gst.parse_launch(
    f"appsrc name=camera is-live=true do-timestamp=true format=time caps={CAPS} ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! mpegtsmux alignment=7 ! queue ! "
    f"srtsink uri=srt://127.0.0.1:{port}?mode=caller latency=40 wait-for-connection=true"
)
start(sender)
sent = push_numbered(sender.get_by_name("camera"), FRAMES, live=True)
follow(receiver, frames.enough, others=[sender])
declared, figures = latency_of(receiver), stats(receiver)
for pipeline in (sender, receiver):
    stop(pipeline)
frames.check(strictly=False)
frames.check_numbers(figures)
assert figures["reorders"] == 0, figures
tell_latency("srt", declared, frames.latencies(sent))
