"""playbin and playbin3 with `video-filter`: a clip with sound; in playbin3 then, without a gap, one of another size."""

from common import FPS, HEIGHT, WIDTH, Gst, Watch, folder, follow, make_clip, start, stop, tell

FRAMES = 40

first, second = folder() / "first.mp4", folder() / "second.mp4"
make_clip(first, FRAMES)
make_clip(second, FRAMES, (96, 64))

for name in ("playbin", "playbin3"):
    player = Gst.ElementFactory.make(name)
    filter_ = Gst.parse_bin_from_description("upscalefilter model=lanczos2x workers=2", True)
    sink, sound = (Gst.ElementFactory.make("fakesink") for _ in range(2))
    sink.set_property("sync", False)
    sound.set_property("sync", False)
    for what, element in (("video-filter", filter_), ("video-sink", sink), ("audio-sink", sound)):
        player.set_property(what, element)
    player.set_property("uri", first.as_uri())
    # playbin itself, with any filter or none, does not get over the gap between clips as short as these.
    more = [second.as_uri()] if name == "playbin3" else []
    expected = [(2 * WIDTH, 2 * HEIGHT)] * FRAMES + [(192, 128)] * FRAMES * len(more)

    def next_one(player, more=more):
        if more:
            player.set_property("uri", more.pop())

    player.connect("about-to-finish", next_one)
    frames = Watch(sink.get_static_pad("sink"))
    start(player)
    follow(player)
    stop(player)
    assert frames.sizes == expected, (len(frames.sizes), set(frames.sizes))
    assert frames.numbers == [n % FRAMES for n in range(len(expected))], frames.numbers
    frames.check_times()
    tell(host=name, frames=len(frames.sizes), seconds=round(frames.times[-1] / Gst.SECOND + 1 / FPS, 2))
