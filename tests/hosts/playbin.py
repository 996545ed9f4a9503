"""playbin and playbin3 with `video-filter`: a clip with sound.

Two clips without a gap are in `tests/flow.rs`, by `concat`: of these two neither gets over the gap between clips as short as these every
time, with any filter or none (GStreamer 1.22)."""

from common import FPS, HEIGHT, WIDTH, Gst, Watch, folder, follow, make_clip, start, stop, tell

FRAMES = 40

clip = folder() / "clip.mp4"
make_clip(clip, FRAMES)

for name in ("playbin", "playbin3"):
    player = Gst.ElementFactory.make(name)
    filter_ = Gst.parse_bin_from_description("upscalefilter model=lanczos2x workers=2", True)
    sink, sound = (Gst.ElementFactory.make("fakesink") for _ in range(2))
    sink.set_property("sync", False)
    sound.set_property("sync", False)
    for what, element in (("video-filter", filter_), ("video-sink", sink), ("audio-sink", sound)):
        player.set_property(what, element)
    player.set_property("uri", clip.as_uri())
    frames = Watch(sink.get_static_pad("sink"))
    start(player)
    follow(player)
    stop(player)
    assert frames.sizes == [(2 * WIDTH, 2 * HEIGHT)] * FRAMES, (len(frames.sizes), set(frames.sizes))
    assert frames.numbers == list(range(FRAMES)), frames.numbers
    frames.check_times()
    tell(host=name, frames=len(frames.sizes), seconds=round(frames.times[-1] / Gst.SECOND + 1 / FPS, 2))
