"""Forks while the element plays. The child may leave at once, leave as programs do, or become another program that uses the element.

What it may not do is go on with GStreamer: threads do not come along with a fork, so that nobody would work.
"""

import os
import sys

from common import ELEMENT, FPS, PATIENCE, Gst, start, stop, tell, watch

SOURCE = f"videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=32,height=16,framerate={FPS}/1"


def leave_at_once():
    os._exit(0)


def leave():
    sys.exit(0)


def become_another():
    os.execvp("gst-launch-1.0", ["gst-launch-1.0", "-q", *f"{SOURCE} ! {ELEMENT} ! fakesink".split()])


endless = SOURCE.replace("num-buffers=5 ", "is-live=true ")
pipeline = Gst.parse_launch(f"{endless} ! {ELEMENT} ! fakesink name=sink sync=true")
frames = watch(pipeline, limit=3)
start(pipeline)
assert frames.enough.wait(PATIENCE)
ended = 0
for child in (leave_at_once, leave, become_another):
    pid = os.fork()
    if pid == 0:
        child()
    _, status = os.waitpid(pid, 0)
    assert status == 0, (child.__name__, status)
    ended += 1
# The parent has not noticed.
again = watch(pipeline, limit=3)
assert again.enough.wait(PATIENCE)
stop(pipeline)
tell(host="fork", children=ended)
