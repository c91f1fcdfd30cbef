"""Files that mean harm, each made here and small."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

Make = Callable[[Path], None]


def clip(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = 6,
    rate: int = 8,
    side: int = 64,
    kind: str = "mp4",
    times: list[int] | None = None,
) -> Path:
    """A plain clip with a moving square; `times` places the frames on a clock of milliseconds."""
    options = {"preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width = stream.height = side
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.thread_count = 1
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            picture = np.full((side, side, 3), 40, np.uint8)
            at = (number * 5) % max(1, side - 16)
            picture[8:24, at : at + 16] = (200, 60, 30)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# Boxes of an MP4 file.


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L4s", len(content) + 8, kind) + content


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while len(data) >= 8:
        size, kind = struct.unpack(">L4s", data[:8])
        yield kind, data[8:size]
        data = data[size:]


def with_box(data: bytes, path: tuple[bytes, ...], content: bytes) -> bytes:
    """The same boxes with another content of the one at `path`."""
    return b"".join(
        box(kind, (content if len(path) == 1 else with_box(old, path[1:], content)))
        if kind == path[0]
        else box(kind, old)
        for kind, old in boxes(data)
    )


DATA_REFERENCE = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")


def elsewhere(path: Path, entry: bytes) -> None:
    """A clip whose pictures lie in another file, as QuickTime allows."""
    data = clip(path).read_bytes()
    path.write_bytes(with_box(data, DATA_REFERENCE, struct.pack(">LL", 0, 1) + entry))


def alias_to(target: Path, *, beside: bool) -> bytes:
    """The entry of a data reference that names a file as a Macintosh would: beside it, or anywhere.

    With the option `enable_drefs` ffmpeg follows it (tried); we never set that option.
    """
    levels = struct.pack(">HH", 1, 1) if beside else struct.pack(">HH", 0, 0)
    name, path = target.name.encode(), b"disk" + str(target).replace("/", ":").encode()
    alias = bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12)
    alias += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + levels + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2)
    return box(b"alis", struct.pack(">L", 0) + alias + struct.pack(">HH", 0xFFFF, 0))


# M1: files that name other files or machines.


def naming_others(port: int, canary: Path, segment: Path) -> dict[str, Make]:
    url, local = f"http://127.0.0.1:{port}/x", canary.resolve()
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
    mpd = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-main:2011">'
        "<Period><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'>"
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' width="64" height="64"><image width="64" height="64" xlink:href="{}"/></svg>'
    )

    def text(content: str) -> Make:
        return lambda path: path.write_text(content) and None

    def image(kind: str) -> Make:
        return lambda path: Image.new("RGB", (64, 64)).save(path, kind)

    def gab2(path: Path) -> None:
        """AVI may carry subtitles, and ffmpeg once opened a playlist that stood in them."""
        clip(path, codec="mpeg4", kind="avi")
        playlist = f"{head}#EXTINF:1,\n{url}/gab2\n".encode()
        chunk = (
            b"GAB2\0" + struct.pack("<HL", 2, 2) + b"\0\0" + struct.pack("<HL", 4, len(playlist))
        )
        path.write_bytes(path.read_bytes() + b"01tx" + struct.pack("<L", 99) + chunk + playlist)

    def attached(path: Path) -> None:
        with av.open(str(path), "w", format="matroska") as container:
            container.add_attachment("x.ttf", "application/x-truetype-font", b"font" * 99)
            stream = container.add_stream("mjpeg", rate=8)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuvj420p"
            frame = av.VideoFrame(64, 64, "yuvj420p")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return {
        "hls over http.mp4": text(f"{head}#EXTINF:1,\n{url}/a.ts\n#EXT-X-ENDLIST\n"),
        "hls over http.webm": text(f"{head}#EXTINF:1,\n{url}/b.ts\n#EXT-X-ENDLIST\n"),
        "hls of a local file.mp4": text(f"{head}#EXTINF:1,\nfile://{local}\n#EXT-X-ENDLIST\n"),
        "hls of a local segment.mp4": text(f"{head}#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n"),
        "hls of a segment beside it.m3u8": text(
            f"{head}#EXTINF:1,\n{segment.name}\n#EXT-X-ENDLIST\n"
        ),
        "hls with a key.mp4": text(
            f'{head}#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n#EXTINF:1,\n{segment}\n'
        ),
        "hls with a map.mp4": text(f'{head}#EXT-X-MAP:URI="{url}/map"\n#EXTINF:1,\n{segment}\n'),
        "hls of playlists.mp4": text(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}/c.m3u8\n"),
        "hls with concat.mp4": text(f"{head}#EXTINF:1,\nconcat:{local}|{url}/d\n#EXT-X-ENDLIST\n"),
        "hls with subfile.mp4": text(
            f"{head}#EXTINF:1,\nsubfile,,start,0,end,64,,:{local}\n#EXT-X-ENDLIST\n"
        ),
        "concat of a segment.mp4": text(f"ffconcat version 1.0\nfile {segment}\n"),
        "concat over http.mp4": text(f"ffconcat version 1.0\nfile {url}/e.mp4\n"),
        "concat of a secret.mkv": text(f"ffconcat version 1.0\nfile {local}\n"),
        "dash over http.mp4": text(mpd.format(f"{url}/f.mp4")),
        "dash of a local file.mp4": text(mpd.format(f"file://{local}")),
        "sdp.mp4": text(
            f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP"
            " 96\na=rtpmap:96 H264/90000\n"
        ),
        "svg over http.mp4": text(svg.format(f"{url}/g.png")),
        "svg of a local file.mp4": text(svg.format(f"file://{local}")),
        "subtitles.mp4": text("1\n00:00:00,000 --> 00:00:01,000\n<img src='http://x'>\n"),
        "asx.mp4": text(f'<asx version="3.0"><entry><ref href="{url}/h"/></entry></asx>'),
        "list of addresses.mp4": text(f"{url}/i.mp4\nrtsp://127.0.0.1:{port}/j\n"),
        "alias to a secret.mov": lambda path: elsewhere(path, alias_to(canary, beside=False)),
        "alias to a clip beside it.mov": lambda path: elsewhere(
            path, alias_to(segment, beside=True)
        ),
        "avi with a playlist.mp4": gab2,
        "attachment.mkv": attached,
        "segment.ts": lambda path: clip(path, kind="mpegts") and None,
        "picture.mp4": image("PNG"),
        "animation.mp4": image("GIF"),
    }


# M2: files that cost more than they are.


def _many_streams(path: Path) -> None:
    source = clip(path.with_suffix(".one"), frames=1)
    with av.open(str(source)) as original, av.open(str(path), "w", format="mp4") as container:
        packet = next(original.demux(video=0))
        streams = [
            container.add_stream_from_template(original.streams.video[0]) for _ in range(500)
        ]
        for stream in streams:
            packet.stream = stream
            container.mux(packet)


def _compressed_index(path: Path) -> None:
    """QuickTime may compress its index: a few kB that claim to be two gigabytes."""
    packed = zlib.compress(bytes(64 << 20), 9)
    content = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">L", 0x7FFFFFF0) + packed)
    path.write_bytes(box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"cmov", content)))


def _endless_index(path: Path) -> None:
    head = struct.pack(">L4sQ", 1, b"moov", 2**62)
    path.write_bytes(box(b"ftyp", b"isom\0\0\2\0isom") + head + os.urandom(5000))


def _nested_index(path: Path) -> None:
    depth = 3000
    inner = b"".join(struct.pack(">L4s", 8 * (depth - n), b"moov") for n in range(depth))
    path.write_bytes(box(b"ftyp", b"isom\0\0\2\0isom") + inner)


def _many_samples(path: Path) -> None:
    """The index promises four milliards of frames, all of them in the same place."""
    data = clip(path).read_bytes()
    table = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    many = struct.pack(">LLLL", 0, 1, 0xFFFFFFFF, 1)
    data = with_box(data, (*table, b"stts"), many)
    path.write_bytes(with_box(data, (*table, b"stsz"), struct.pack(">LLL", 0, 1, 0xFFFFFFFF)))


def _changing_size(path: Path) -> None:
    """Halfway the pictures grow: a raw stream of two sizes in one container."""
    small, large = (path.with_suffix(f".{side}") for side in (64, 128))
    for each, side in ((small, 64), (large, 128)):
        clip(each, codec="mjpeg", kind="matroska", side=side, frames=2)
    with (
        av.open(str(small)) as one,
        av.open(str(large)) as two,
        av.open(str(path), "w", format="matroska") as container,
    ):
        stream = container.add_stream_from_template(one.streams.video[0])
        for number, packet in enumerate([*one.demux(video=0), *two.demux(video=0)]):
            if packet.size:
                packet.pts = packet.dts = number * 125
                packet.stream = stream
                container.mux(packet)


def _truncated(path: Path) -> None:
    path.write_bytes(clip(path).read_bytes()[:700])


BOMBS: dict[str, Make] = {
    "a huge picture": lambda path: clip(path, frames=1, side=4400) and None,
    "a day": lambda path: clip(path, frames=2, times=[0, 86_400_000]) and None,
    "a thousand frames a second": lambda path: clip(path, rate=1000) and None,
    "five hundred streams": _many_streams,
    "truncated": _truncated,
    "empty": lambda path: path.write_bytes(b"") and None,
    "random 1": lambda path: path.write_bytes(os.urandom(70_000)) and None,
    "random 2": lambda path: (
        path.write_bytes(clip(path).read_bytes()[:40] + os.urandom(9000)) and None
    ),
    "random 3": lambda path: path.write_bytes(b"\x1aE\xdf\xa3" + os.urandom(9000)) and None,
    "endless index": _endless_index,
    "nested index": _nested_index,
    "compressed index": _compressed_index,
    "four milliards of frames": _many_samples,
    "changing size": _changing_size,
    "a film of an hour": lambda path: (
        clip(path, codec="mpeg4", frames=64, side=16, times=[1000 * n for n in range(64)]) and None
    ),
}


# M4: clips that are something else as well.

PAYLOAD = b"<script>document.title='owned by generator-secret-7B'</script>"


def _zipped() -> bytes:
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.html", PAYLOAD)
    return packed.getvalue()


def _in_the_stream(path: Path, unit_type: int) -> None:
    """Units beside the pictures: notes of the encoder (6), padding (12), private ones (24)."""
    source = clip(path.with_suffix(".plain"))
    unit = bytes([unit_type])
    if unit_type == 6:
        unit += bytes([5, 16 + len(PAYLOAD)]) + bytes(16) + PAYLOAD + b"\x80"
    else:
        unit += PAYLOAD + b"\x80"
    with av.open(str(source)) as original, av.open(str(path), "w", format="mp4") as copy:
        stream = original.streams.video[0]
        out = copy.add_stream_from_template(stream)
        for packet in original.demux(stream):
            if packet.size:
                loaded = av.Packet(struct.pack(">L", len(unit)) + unit + bytes(packet))
                loaded.pts, loaded.dts, loaded.time_base = packet.pts, packet.dts, packet.time_base
                loaded.is_keyframe = packet.is_keyframe
                loaded.stream = out
                copy.mux(loaded)


def _described(path: Path) -> None:
    source = clip(path.with_suffix(".plain"))
    with av.open(str(source)) as original, av.open(str(path), "w", format="mp4") as copy:
        copy.metadata.update(title=PAYLOAD.decode(), comment="generator-secret-7B")
        stream = original.streams.video[0]
        out = copy.add_stream_from_template(stream)
        out.metadata["handler_name"] = PAYLOAD.decode()
        for packet in original.demux(stream):
            if packet.size:
                packet.stream = out
                copy.mux(packet)


def _appended(data: bytes) -> Make:
    return lambda path: path.write_bytes(clip(path).read_bytes() + data) and None


POLYGLOTS: dict[str, Make] = {
    "a page behind the end": _appended(b"\n<html>" + PAYLOAD),
    "an archive behind the end": _appended(_zipped() + PAYLOAD),
    "a free box": _appended(box(b"free", PAYLOAD)),
    "a private box": _appended(box(b"uuid", bytes(16) + PAYLOAD)),
    "pictures that nobody shows": _appended(box(b"mdat", PAYLOAD * 9)),
    "metadata": _described,
    "notes of the encoder": lambda path: _in_the_stream(path, 6),
    "padding in the stream": lambda path: _in_the_stream(path, 12),
    "private units in the stream": lambda path: _in_the_stream(path, 24),
}


# M3: names of files.

NAMES = [
    "-i.mp4", "--help", "-y", "a\nb.mp4", "a\rb.mp4", "clip%03d.mp4", "concat:a|b.mp4",
    "subfile,,start,0,end,9,,:x.mp4", "file:x.mp4", "http:x.mp4", "pipe:0", "data:text,x.mp4",
    "$(touch owned).mp4", "`touch owned`.mp4", "; touch owned;.mp4", "a'b\"c.mp4",
    "\u202egpj.mp4", "ünïcödé 视频.mp4", "x" * 250 + ".mp4", "*?[a].mp4", "\udcff\udcfe.mp4",
    "generator-secret-7B.mp4",
]  # fmt: skip
