"""uridecodebin3, whose pad appears when the file has been looked at; a seek in the middle."""

from common import ELEMENT, FPS, Gst, folder, follow, make_clip, start, stop, tell, watch

FRAMES = 50

clip = folder() / "clip.mp4"
make_clip(clip, FRAMES)
pipeline = Gst.parse_launch(
    f"uridecodebin3 uri={clip.as_uri()} caps=video/x-raw ! {ELEMENT} name=upscale ! fakesink name=sink sync=false"
)
frames = watch(pipeline, limit=10)
start(pipeline)
follow(pipeline, frames.enough)
middle = FRAMES // 2
flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
assert pipeline.seek_simple(Gst.Format.TIME, flags, middle * Gst.SECOND // FPS)
follow(pipeline)
stop(pipeline)
assert frames.numbers[:10] == list(range(10)), frames.numbers
after = FRAMES - middle
assert frames.numbers[-after:] == list(range(middle, FRAMES)), frames.numbers
tell(host="uridecodebin3", frames=len(frames.sizes))
