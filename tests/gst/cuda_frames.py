#!/usr/bin/env python3
# dsvl2: what dsvl2infer answers on frames in CUDA memory, one case to a process; test_cuda_memory.py runs it
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: cuda_frames.py MEMORY DEVICE FORMAT FRAMES     answers and contexts as JSON, on the stand-in
#
# MEMORY is
#   host         ordinary memory
#   own          of the engine's context, which dsvl2infer offers to the pipeline
#   foreign      of a context of its own, made before there is an engine
#   application  of a context that the application gives to the last of two elements with gst_element_set_context ()
#   bus          of a context that the application gives to whoever asks on the bus
#   kept         as foreign, and a frame is kept until the end: a leak, which has to be seen
#   pending      as own, with a stream of its own, which has the writing still to do when the frame comes (1.24)
#   uploaded     as foreign, with a stream of its own, written by the host: mapping it puts the copy on that stream (1.24)
# FRAMES is
#   whole        as videotestsrc makes them
#   odd          bytes of no alignment at all: planes at odd offsets, odd strides, as GstVideoMeta has it
#   cropped      the same, of which GstVideoCropMeta cuts a part
import ctypes
import gc
import json
import os
import random
import sys

import gi
gi.require_version('Gst', '1.0')
gi.require_version('GstVideo', '1.0')
gi.require_version('GstCuda', '1.0')
from gi.repository import Gst, GstCuda, GstVideo  # noqa: E402

N_FRAMES, DURATION = 2, Gst.SECOND // 25
CONTEXT = GstCuda.CUDA_CONTEXT_TYPE
# format: its size, and of each plane offset and stride, with no two alike
ODD = {'RGB': (35, 21, [13], [107]), 'NV12': (34, 22, [7, 1201], [53, 61]),
       'I420': (34, 22, [3, 1301, 2203], [59, 37, 41])}
BYTES = 4096  # that hold an odd frame
CROP = (9, 4, 21, 14)  # x, y, width, height
NO_STREAMS = 77  # the exit status where GStreamer's CUDA memory has none
MAP_CUDA_WRITE = 1 << 17 | Gst.MapFlags.WRITE


class CropMeta(ctypes.Structure):
    """GstVideoCropMeta, whose fields Python cannot set by introspection."""
    _fields_ = [('flags', ctypes.c_int), ('info', ctypes.c_void_p), ('rectangle', ctypes.c_uint * 4)]


class MapInfo(ctypes.Structure):
    """GstMapInfo, whose data Python would read, which device memory is not for."""
    _fields_ = [('memory', ctypes.c_void_p), ('flags', ctypes.c_int), ('data', ctypes.c_uint64),
                ('size', ctypes.c_size_t), ('more', ctypes.c_void_p * 8)]


def context_of(element):
    """The GstCudaContext that an element has, or None."""
    found = element.get_context(CONTEXT)
    return found.get_structure().get_value(CONTEXT) if found else None


def cuda_memory(context, stream=None):
    """BYTES bytes of a context's: a picture of one row."""
    GstCuda.cuda_memory_init_once()
    allocator = Gst.Allocator.find(GstCuda.CUDA_MEMORY_TYPE_NAME)
    info = GstVideo.VideoInfo.new()
    info.set_format(GstVideo.VideoFormat.RGBA, BYTES // 4, 1)
    return allocator.alloc(context, *([stream] if Gst.version() >= (1, 24) else []), info)


def write_later(memory, context, stream, data):
    """Puts the copy on the memory's stream, as an element that works there does, and waits for nothing."""
    gst, gst_cuda, cuda = (ctypes.CDLL(f'lib{name}') for name in (
        'gstreamer-1.0.so.0', 'gstcuda-1.0.so.0', 'cuda.so.1'))
    gst_cuda.gst_cuda_stream_get_handle.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(gst_cuda.gst_cuda_stream_get_handle(ctypes.c_void_p(hash(stream))))
    mapped, pointer = MapInfo(), ctypes.c_void_p(hash(memory))
    assert gst.gst_memory_map(pointer, ctypes.byref(mapped), MAP_CUDA_WRITE)
    context.push()
    to, n = ctypes.c_uint64(mapped.data), ctypes.c_size_t(BYTES)
    errors = [cuda.cuMemcpyHtoD_v2(to, bytes(BYTES), n),  # what was there before
              cuda.cuMemcpyHtoDAsync_v2(to, data, n, handle)]
    gst_cuda.gst_cuda_context_pop(None)
    gst.gst_memory_unmap(pointer, ctypes.byref(mapped))
    assert errors == [0, 0], errors


def odd_frame(form, number, context, cropped, written):
    width, height, offsets, strides = ODD[form]
    data = random.Random(number).randbytes(BYTES)
    if context:
        stream = GstCuda.CudaStream.new(context) if written in ('pending', 'uploaded') else None
        memory, buffer = cuda_memory(context, stream), Gst.Buffer.new()
        if written == 'pending':
            write_later(memory, context, stream, data)
        buffer.append_memory(memory)
        if written != 'pending':
            buffer.fill(0, data)
    else:
        buffer = Gst.Buffer.new_wrapped(data)
    GstVideo.buffer_add_video_meta_full(buffer, GstVideo.VideoFrameFlags.NONE,
                                        GstVideo.VideoFormat.from_string(form), width, height, len(offsets),
                                        offsets + [0] * (4 - len(offsets)), strides + [0] * (4 - len(strides)))
    if cropped:
        meta = buffer.add_meta(GstVideo.VideoCropMeta.get_info(), None)
        CropMeta.from_address(hash(meta)).rectangle[:] = CROP
    buffer.pts, buffer.duration = number * DURATION, DURATION
    return buffer


class Case:
    def __init__(self, memory, device, form, frames):
        self.memory, self.form, self.frames = memory, form, frames
        self.answers, self.contexts = [], []
        self.downloaded = 0  # bytes, by making frames: GStreamer does that before the host writes to CUDA memory
        infer = (f'dsvl2infer model={os.environ["DSVL2_TEST_MODEL"]} device={device} max-new-tokens=2 '
                 'cropping=off name=')
        self.infer = infer + 'infer' + (f' ! {infer}last' if memory in ('application', 'bus') else '')
        self.given = GstCuda.CudaContext.new(0) if memory in ('application', 'bus') else None
        self.samples = []

    def on_result(self, _, result):
        self.answers.append([result.get_value('seen-pts'), result.get_string('text')])

    def answer_need(self, _, message, __):
        if message.type == Gst.MessageType.NEED_CONTEXT and message.parse_context_type() == (True, CONTEXT):
            message.src.set_context(GstCuda.context_new_cuda_context(self.given))
        return Gst.BusSyncReply.PASS

    def play(self, launch, feed=None):
        """Plays to the end; `feed` gives buffers to the appsrc once all is ready."""
        pipeline = Gst.parse_launch(launch)
        elements = [e for e in (pipeline.get_by_name(n) for n in ('upload', 'infer', 'last')) if e]
        for element in elements:
            if element.get_factory().get_name() == 'dsvl2infer':
                element.connect('result', self.on_result)
        if self.memory == 'application':
            elements[-1].set_context(GstCuda.context_new_cuda_context(self.given))
        if self.memory == 'bus':
            pipeline.get_bus().set_sync_handler(self.answer_need, None)
        source = pipeline.get_by_name('source')
        if feed:
            pipeline.set_state(Gst.State.PAUSED)
            caps, buffers = feed(elements)
            source.set_property('caps', caps)
            for buffer in buffers:
                source.emit('push-buffer', buffer)
            source.emit('end-of-stream')
        pipeline.set_state(Gst.State.PLAYING)
        message = pipeline.get_bus().timed_pop_filtered(
            Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.WARNING)
        if message.type != Gst.MessageType.EOS:
            print(message.get_structure().get_value('gerror').message, file=sys.stderr)
            os._exit(1)
        self.contexts = [context_of(e) for e in elements]
        if self.memory == 'bus':
            pipeline.get_bus().set_sync_handler(None, None)
        pipeline.set_state(Gst.State.NULL)

    def feed_odd(self, elements):
        cropped = self.frames == 'cropped'
        width, height = CROP[2:] if cropped else ODD[self.form][:2]
        features = '' if self.memory == 'host' else '(memory:CUDAMemory)'
        context = None
        if self.memory in ('own', 'pending'):
            context = context_of(elements[-1])
        elif self.memory in ('foreign', 'uploaded'):
            context = GstCuda.CudaContext.new(0)
        self.downloaded = N_FRAMES * BYTES if context and self.memory != 'pending' else 0
        caps = Gst.Caps.from_string(
            f'video/x-raw{features},format={self.form},width={width},height={height},framerate=25/1')
        return caps, [odd_frame(self.form, n, context, cropped, self.memory) for n in range(N_FRAMES)]

    def keep(self, _, buffer, pad):
        self.samples.append((buffer.copy(), pad.get_current_caps()))

    def feed_kept(self, _):
        return self.samples[0][1], [buffer for buffer, __ in self.samples]

    def run(self):
        appsrc = 'appsrc name=source format=time'
        if self.frames != 'whole':
            self.play(f'{appsrc} ! {self.infer} ! fakesink', self.feed_odd)
            return
        source = (f'videotestsrc num-buffers={N_FRAMES} pattern=smpte ! '
                  f'video/x-raw,framerate=25/1,format={self.form},width=98,height=54')
        if self.memory != 'host':
            source += ' ! cudaupload name=upload ! video/x-raw(memory:CUDAMemory)'
        if self.memory in ('foreign', 'kept'):
            sink = Gst.parse_launch(f'{source} ! fakesink name=sink signal-handoffs=true')
            sink.get_by_name('sink').connect('handoff', self.keep)
            sink.set_state(Gst.State.PLAYING)
            sink.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS)
            sink.set_state(Gst.State.NULL)
            self.play(f'{appsrc} ! {self.infer} ! fakesink', self.feed_kept)
        else:
            self.play(f'{source} ! {self.infer} ! fakesink')

    def told(self):
        return json.dumps({'answers': self.answers, 'elements': len(self.contexts),
                           'contexts': len(set(self.contexts) - {None}),
                           'downloaded': self.downloaded, 'given': self.given in self.contexts if self.given else None})


def main():
    Gst.init(None)
    GstCuda.cuda_load_library()
    if sys.argv[1] in ('pending', 'uploaded') and Gst.version() < (1, 24):
        sys.exit(NO_STREAMS)
    case = Case(*sys.argv[1:])
    case.run()
    print(case.told())
    if case.memory == 'kept':
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(case.samples))
    del case
    gc.collect()
    Gst.deinit()


if __name__ == '__main__':
    main()
