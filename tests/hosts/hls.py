"""HTTP Live Streaming out of the element: the playlist's segments have every frame, in the larger size."""

import os

from common import CAPS, ELEMENT, FPS, Gst, folder, push_numbered, run, tell, watch

FRAMES = 100


def sinks():
    for name in ("hlssink2", "hlssink3"):
        # hlssink3 is not in Debian.
        if name == "hlssink2" or Gst.ElementFactory.find(name):
            yield name


for name in sinks():
    out = folder() / name
    os.mkdir(out)
    pipeline = Gst.parse_launch(
        f"appsrc name=camera format=time caps={CAPS} ! {ELEMENT} ! x264enc speed-preset=ultrafast key-int-max={FPS} ! "
        f"h264parse ! {name} location={out}/%02d.ts playlist-location={out}/all.m3u8 target-duration=1 playlist-length=0 "
        "max-files=100"
    )
    push_numbered(pipeline.get_by_name("camera"), FRAMES)
    run(pipeline)
    playlist = (out / "all.m3u8").read_text().splitlines()
    assert playlist[0] == "#EXTM3U" and "#EXT-X-ENDLIST" in playlist, playlist
    segments = [os.path.basename(line) for line in playlist if line and not line.startswith("#")]
    assert len(segments) == FRAMES // FPS, playlist
    numbers = []
    for segment in segments:
        reader = Gst.parse_launch(
            f"filesrc location={out}/{segment} ! tsdemux ! h264parse ! avdec_h264 ! fakesink name=sink sync=false"
        )
        frames = watch(reader)
        run(reader)
        frames.check()
        numbers += frames.numbers
    assert numbers == list(range(FRAMES)), numbers
    tell(host=name, segments=len(segments), frames=len(numbers))
