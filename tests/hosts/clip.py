"""A clip with sound, whose frames bear their numbers."""

import sys

from common import folder, make_clip

make_clip(folder() / "clip.mp4", int(sys.argv[2]))
