#!/usr/bin/env python3
"""Plays a file or a URI, upscaled, and prints statistics every second: playbin with `upscalefilter` as its video filter.

    script/env examples/player.py VIDEO [MODEL]

Requires PyGObject (Debian: python3-gi and gir1.2-gstreamer-1.0). Without a display, it plays into a fakesink.
"""

import os
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def make_player(video, model):
    upscale = Gst.ElementFactory.make("upscalefilter")
    if upscale is None:
        sys.exit("The element upscalefilter was not found; run this through script/env")
    if model:
        upscale.set_property("model", model)
    upscale.set_property("progress-interval", Gst.SECOND)

    player = Gst.ElementFactory.make("playbin3")
    player.set_property("uri", video if Gst.uri_is_valid(video) else Gst.filename_to_uri(video))
    player.set_property("video-filter", upscale)
    if not ("DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ):
        for sink in ("video-sink", "audio-sink"):
            nothing = Gst.ElementFactory.make("fakesink")
            nothing.set_property("sync", True)
            player.set_property(sink, nothing)
    return player


def follow(player):
    """Prints statistics until the end. Returns the error message, if there is one."""
    bus = player.get_bus()
    wanted = Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.ELEMENT | Gst.MessageType.LATENCY
    while True:
        # With a timeout, so that Ctrl-C is handled.
        message = bus.timed_pop_filtered(200 * Gst.MSECOND, wanted)
        if message is None:
            continue
        if message.type == Gst.MessageType.EOS:
            return None
        if message.type == Gst.MessageType.ERROR:
            return message.parse_error().gerror.message
        if message.type == Gst.MessageType.LATENCY:
            # A filter that holds frames adds latency, which the pipeline must distribute.
            player.recalculate_latency()
        figures = message.get_structure()
        if message.type == Gst.MessageType.ELEMENT and figures.get_name() == "upscalefilter-progress":
            out, fps = figures.get_value("frames-out"), figures.get_value("fps")
            print(f"{out} frames, {fps:.1f} per second, {figures.get_value('duplicate-percentage'):.0f} % seen before")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: player.py VIDEO [MODEL]")
    Gst.init(None)
    player = make_player(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    player.set_state(Gst.State.PLAYING)
    try:
        problem = follow(player)
    except KeyboardInterrupt:
        problem = None
    player.set_state(Gst.State.NULL)
    sys.exit(problem)


if __name__ == "__main__":
    main()
