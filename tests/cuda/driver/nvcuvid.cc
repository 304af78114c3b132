/* dsvl2: the CUDA stand-in: NVIDIA's video decoder, which decodes nothing
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GStreamer's plugin nvcodec has cudaupload and cudadownload only where it finds this library. */
#include "missing.h"

NOT_SUPPORTED (cuvidCreateDecoder)
NOT_SUPPORTED (cuvidCreateVideoParser)
NOT_SUPPORTED (cuvidCtxLock)
NOT_SUPPORTED (cuvidCtxLockCreate)
NOT_SUPPORTED (cuvidCtxLockDestroy)
NOT_SUPPORTED (cuvidCtxUnlock)
NOT_SUPPORTED (cuvidDecodePicture)
NOT_SUPPORTED (cuvidDestroyDecoder)
NOT_SUPPORTED (cuvidDestroyVideoParser)
NOT_SUPPORTED (cuvidGetDecoderCaps)
NOT_SUPPORTED (cuvidMapVideoFrame64)
NOT_SUPPORTED (cuvidParseVideoData)
NOT_SUPPORTED (cuvidUnmapVideoFrame64)
