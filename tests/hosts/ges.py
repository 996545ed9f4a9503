"""A timeline of GStreamer Editing Services with the element as an effect on one of two clips."""

import gi

from common import FPS, HEIGHT, WIDTH, Gst, Watch, folder, follow, make_clip, start, stop, tell

gi.require_version("GES", "1.0")
from gi.repository import GES  # noqa: E402

FRAMES = 50
GES.init()

clip = folder() / "clip.mp4"
make_clip(clip, FRAMES)


def timeline_of(with_effect):
    """Two clips of a second each, the later one with the element."""
    timeline, track = GES.Timeline.new(), GES.VideoTrack.new()
    caps = f"video/x-raw,format=I420,width={2 * WIDTH},height={2 * HEIGHT},framerate={FPS}/1"
    track.set_restriction_caps(Gst.Caps.from_string(caps))
    assert timeline.add_track(track)
    layer, second = timeline.append_layer(), Gst.SECOND
    asset = GES.UriClipAsset.request_sync(clip.as_uri())
    assert layer.add_asset(asset, 0, 0, second, GES.TrackType.VIDEO)
    later = layer.add_asset(asset, second, second, second, GES.TrackType.VIDEO)
    if with_effect:
        assert later.add(GES.Effect.new("upscalefilter model=lanczos2x workers=2"))
    assert timeline.commit_sync()
    return timeline


def play(with_effect):
    """What came out of the timeline, and out of each of our elements."""
    elements = []

    def look(_bin, _sub, element):
        factory = element.get_factory()
        if factory is not None and factory.get_name() == "upscalefilter":
            elements.append(Watch(element.get_static_pad("src")))

    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", False)
    pipeline = GES.Pipeline.new()
    pipeline.connect("deep-element-added", look)
    assert pipeline.set_timeline(timeline_of(with_effect))
    pipeline.preview_set_video_sink(sink)
    assert pipeline.set_mode(GES.PipelineFlags.VIDEO_PREVIEW)
    frames = Watch(sink.get_static_pad("sink"))
    start(pipeline)
    follow(pipeline)
    stop(pipeline)
    frames.check()
    return frames, elements


plain, elements = play(False)
assert not elements and len(plain.sizes) >= FRAMES
frames, elements = play(True)
assert frames.times == plain.times and frames.numbers == plain.numbers, (frames.numbers, plain.numbers)
assert [set(element.sizes) for element in elements] == [{(2 * WIDTH, 2 * HEIGHT)}]
tell(host="ges", frames=len(frames.sizes), upscaled=len(elements[0].sizes))
