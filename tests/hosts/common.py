"""What the programs share: clips whose frames bear their number, a watch over what comes out, and running to the end."""

import pathlib
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)

WIDTH, HEIGHT, FPS = 160, 90, 25
CAPS = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FPS}/1"
BITS = 8
# Longer than any of the streams here may take, in seconds.
PATIENCE = 60

ELEMENT = "upscalefilter model=lanczos2x workers=2"


def numbered(number):
    """A frame that shows its number: columns that are dark or bright, for each binary digit."""
    digits = [0xEB if number >> bit & 1 else 0x10 for bit in range(BITS)]
    row = b"".join(bytes([digit]) * (WIDTH // BITS) for digit in digits)
    return row * HEIGHT + b"\x80" * (WIDTH * HEIGHT // 2)


def number_of(buffer, width, height):
    """The number that an I420 frame of any size shows."""
    _, mapped = buffer.map(Gst.MapFlags.READ)
    row = bytes(mapped.data[width * (height // 2):][:width])
    buffer.unmap(mapped)
    column = width // BITS
    return sum((row[column * bit + column // 2] > 0x80) << bit for bit in range(BITS))


def push_numbered(source, frames, live=False):
    """Gives an appsrc its frames, from a thread; a live one gets them as time goes by. The returned dictionary has when each was sent."""
    sent = {}

    def push():
        start = time.monotonic()
        for number in range(frames):
            if live:
                # This is what a camera does, no test's waiting.
                time.sleep(max(0, start + number / FPS - time.monotonic()))
            buffer = Gst.Buffer.new_wrapped(numbered(number))
            if not live:
                buffer.pts = number * Gst.SECOND // FPS
            buffer.duration = Gst.SECOND // FPS
            sent[number] = time.monotonic()
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
        source.emit("end-of-stream")

    threading.Thread(target=push, daemon=True).start()
    return sent


def make_clip(path, frames, size=(WIDTH, HEIGHT)):
    """H.264 with sound in MP4; its frames bear their numbers."""
    pipeline = Gst.parse_launch(
        f"appsrc name=source format=time caps={CAPS} ! videoscale ! video/x-raw,width={size[0]},height={size[1]} ! "
        "x264enc speed-preset=ultrafast ! video/x-h264,profile=main ! h264parse ! mp4mux name=mux ! "
        f"filesink location={path} "
        f"audiotestsrc num-buffers={frames * 48000 // FPS // 1024} ! audio/x-raw,rate=48000 ! audioconvert ! avenc_aac ! mux."
    )
    push_numbered(pipeline.get_by_name("source"), frames)
    run(pipeline)


class Watch:
    """Looks at each frame that comes to a sink pad: its size, running time, number, and when it came."""

    def __init__(self, pad, limit=None):
        self.sizes, self.times, self.numbers, self.came = [], [], [], []
        self.limit, self.enough = limit, threading.Event()
        pad.add_probe(Gst.PadProbeType.BUFFER, self.note)

    def note(self, pad, info):
        buffer = info.get_buffer()
        caps = pad.get_current_caps().get_structure(0)
        size = caps.get_int("width")[1], caps.get_int("height")[1]
        segment = pad.get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
        self.sizes.append(size)
        self.times.append(segment.to_running_time(Gst.Format.TIME, buffer.pts))
        self.numbers.append(number_of(buffer, *size) if caps.get_string("format") == "I420" else None)
        self.came.append(time.monotonic())
        if self.limit is not None and len(self.sizes) >= self.limit:
            self.enough.set()
        return Gst.PadProbeReturn.OK

    def check(self, size=(2 * WIDTH, 2 * HEIGHT), strictly=True):
        """All of one size, one after the other in time."""
        assert set(self.sizes) == {size}, set(self.sizes)
        self.check_times(strictly)

    def check_times(self, strictly=True):
        """A jitter buffer may give several frames one time when it has to catch up; then not `strictly`."""
        steps = [b - a for a, b in zip(self.times, self.times[1:])]
        assert all(step > 0 if strictly else step >= 0 for step in steps), self.times

    def check_numbers(self, figures):
        """None twice, none missing but those that the element says it dropped."""
        assert all(a < b for a, b in zip(self.numbers, self.numbers[1:])), self.numbers
        missing = self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers)
        assert missing <= figures.get("dropped", 0), (self.numbers, figures)

    def latencies(self, sent):
        """Milliseconds from being sent to here, for each frame whose number was sent."""
        return sorted(1000 * (came - sent[n]) for n, came in zip(self.numbers, self.came) if n in sent)


def watch(pipeline, name="sink", limit=None):
    return Watch(pipeline.get_by_name(name).get_static_pad("sink"), limit)


def follow(pipeline, until=None, others=()):
    """Follows the bus to the end of the stream, or to the event `until`. Whatever goes wrong ends the program."""
    wanted = (Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.WARNING | Gst.MessageType.LATENCY)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if until is not None and until.is_set():
            return
        for each in (pipeline, *others):
            message = each.get_bus().timed_pop_filtered(20 * Gst.MSECOND, wanted)
            if message is None:
                continue
            if message.type == Gst.MessageType.ERROR:
                raise RuntimeError(message.parse_error())
            if message.type == Gst.MessageType.WARNING:
                raise RuntimeError(message.parse_warning())
            if message.type == Gst.MessageType.LATENCY:
                each.recalculate_latency()
            elif each is pipeline and until is None:
                return
    raise TimeoutError("the stream does not end")


def start(pipeline):
    if pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
        message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        raise RuntimeError(message.parse_error() if message else "the pipeline does not start")


def stop(pipeline):
    assert pipeline.set_state(Gst.State.NULL) == Gst.StateChangeReturn.SUCCESS


def run(pipeline, until=None):
    start(pipeline)
    follow(pipeline, until)
    stop(pipeline)


def latency_of(pipeline):
    """What the pipeline says of itself, in milliseconds."""
    query = Gst.Query.new_latency()
    assert pipeline.query(query)
    live, least, _ = query.parse_latency()
    assert live
    return least / Gst.MSECOND


def stats(pipeline, name="upscale"):
    figures = pipeline.get_by_name(name).get_property("stats")
    return {figures.nth_field_name(n): figures.get_value(figures.nth_field_name(n)) for n in range(figures.n_fields())}


def folder():
    return pathlib.Path(sys.argv[1])


def tell(**facts):
    """For the log of the tests."""
    print(" ".join(f"{name}={value}" for name, value in facts.items()))


def tell_latency(name, declared, measured):
    assert measured, "no frame could be told by its number"
    middle, worst = measured[len(measured) // 2], measured[-1]
    tell(host=name, frames=len(measured), declared_ms=round(declared), median_ms=round(middle), worst_ms=round(worst))
