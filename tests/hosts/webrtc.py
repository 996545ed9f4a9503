"""WebRTC from one webrtcbin to another, in one process and on the loopback device."""

import threading

import gi

from common import CAPS, ELEMENT, Gst, Watch, follow, latency_of, push_numbered, start, stop, tell_latency

gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GstSdp, GstWebRTC  # noqa: E402, F401

FRAMES, ENOUGH = 150, 50

sender = Gst.parse_launch(
    f"appsrc name=camera is-live=true do-timestamp=true format=time caps={CAPS} ! "
    "vp8enc deadline=1 keyframe-max-dist=10 ! rtpvp8pay ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! "
    "webrtcbin name=peer bundle-policy=max-bundle"
)
receiver = Gst.Pipeline.new("receiver")
peers = [sender.get_by_name("peer"), Gst.ElementFactory.make("webrtcbin", "peer")]
peers[1].set_property("latency", 40)
receiver.add(peers[1])
watches = []
sent = {}


def candidates_to(other):
    return lambda _peer, line, candidate: other.emit("add-ice-candidate", line, candidate)


# Kept: what this version of GStreamer hands out is not a reference of our own.
agents = [peer.get_property("ice-agent") for peer in peers]
for peer, other, agent in zip(peers, reversed(peers), agents):
    agent.emit("add-local-ip-address", "127.0.0.1")
    peer.connect("on-ice-candidate", candidates_to(other))


def take_stream(_peer, pad):
    chain = Gst.parse_bin_from_description(f"rtpvp8depay ! vp8dec ! {ELEMENT} ! fakesink name=sink sync=true", True)
    watches.append(Watch(chain.get_by_name("sink").get_static_pad("sink"), ENOUGH))
    receiver.add(chain)
    chain.sync_state_with_parent()
    assert pad.link(chain.get_static_pad("sink")) == Gst.PadLinkReturn.OK
    ready.set()


def offer(peer):
    peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered))


def offered(promise):
    reply = promise.get_reply()
    description = reply.get_value("offer")
    peers[0].emit("set-local-description", description, None)
    answered_after = Gst.Promise.new_with_change_func(answer)
    peers[1].emit("set-remote-description", description, answered_after)


def answer(_promise):
    peers[1].emit("create-answer", None, Gst.Promise.new_with_change_func(answered))


def answered(promise):
    reply = promise.get_reply()
    description = reply.get_value("answer")
    peers[1].emit("set-local-description", description, None)
    peers[0].emit("set-remote-description", description, None)


ready = threading.Event()
peers[0].connect("on-negotiation-needed", offer)
peers[1].connect("pad-added", take_stream)
start(receiver)
start(sender)
sent = push_numbered(sender.get_by_name("camera"), FRAMES, live=True)
follow(receiver, ready, others=[sender])
frames = watches[0]
follow(receiver, frames.enough, others=[sender])
declared = latency_of(receiver)
for pipeline in (sender, receiver):
    stop(pipeline)
frames.check(strictly=False)
assert all(a < b for a, b in zip(frames.numbers, frames.numbers[1:])), frames.numbers
tell_latency("webrtc", declared, frames.latencies(sent))
