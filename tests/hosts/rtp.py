"""RTP over UDP on the loopback device, where every fiftieth packet is lost."""

from common import CAPS, ELEMENT, Gst, follow, latency_of, push_numbered, start, stats, stop, tell, tell_latency, watch

FRAMES = 100
LOSS = 50

receiver = Gst.parse_launch(
    "udpsrc name=in address=127.0.0.1 port=0 "
    'caps="application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96" ! rtpjitterbuffer latency=40 ! '
    f"rtph264depay ! avdec_h264 ! {ELEMENT} name=upscale ! fakesink name=sink sync=true"
)
frames = watch(receiver, limit=FRAMES * 7 // 10)
start(receiver)
port = receiver.get_by_name("in").get_property("port")

sender = Gst.parse_launch(
    f"appsrc name=camera is-live=true do-timestamp=true format=time caps={CAPS} ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=400 ! rtph264pay mtu=300 config-interval=-1 ! "
    f"identity name=net ! udpsink host=127.0.0.1 port={port} sync=false"
)
packets = {"all": 0, "lost": 0}


def lose(_pad, _info):
    packets["all"] += 1
    lost = packets["all"] % LOSS == 0
    packets["lost"] += lost
    return Gst.PadProbeReturn.DROP if lost else Gst.PadProbeReturn.OK


sender.get_by_name("net").get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, lose)
start(sender)
sent = push_numbered(sender.get_by_name("camera"), FRAMES, live=True)
follow(receiver, frames.enough, others=[sender])
declared, figures = latency_of(receiver), stats(receiver)
for pipeline in (sender, receiver):
    stop(pipeline)
frames.check(strictly=False)
assert packets["lost"] > 2, packets
assert figures["frames-out"] + figures["in-flight"] <= figures["frames-in"], figures
tell(packets=packets["all"], lost=packets["lost"], **{"in": figures["frames-in"], "out": figures["frames-out"]})
tell_latency("rtp", declared, frames.latencies(sent))
