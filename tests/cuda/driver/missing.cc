/* dsvl2: the CUDA stand-in: functions of the driver that GStreamer's CUDA library wants to find
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * It loads all or none, and calls these only for OpenGL, for other processes and for kernels that
 * it compiles itself. */

#include "missing.h"

NOT_SUPPORTED (cuCtxGetLimit)
NOT_SUPPORTED (cuCtxSetLimit)
NOT_SUPPORTED (cuGLGetDevices_v2)
NOT_SUPPORTED (cuGraphicsGLRegisterBuffer)
NOT_SUPPORTED (cuGraphicsGLRegisterImage)
NOT_SUPPORTED (cuGraphicsMapResources)
NOT_SUPPORTED (cuGraphicsResourceGetMappedPointer_v2)
NOT_SUPPORTED (cuGraphicsResourceSetMapFlags_v2)
NOT_SUPPORTED (cuGraphicsSubResourceGetMappedArray)
NOT_SUPPORTED (cuGraphicsUnmapResources)
NOT_SUPPORTED (cuGraphicsUnregisterResource)
NOT_SUPPORTED (cuIpcCloseMemHandle)
NOT_SUPPORTED (cuIpcGetEventHandle)
NOT_SUPPORTED (cuIpcGetMemHandle)
NOT_SUPPORTED (cuIpcOpenEventHandle)
NOT_SUPPORTED (cuIpcOpenMemHandle)
NOT_SUPPORTED (cuLaunchKernel)
NOT_SUPPORTED (cuMemsetD2D16Async)
NOT_SUPPORTED (cuMemsetD2D16_v2)
NOT_SUPPORTED (cuMemsetD2D32Async)
NOT_SUPPORTED (cuMemsetD2D32_v2)
NOT_SUPPORTED (cuMemsetD2D8Async)
NOT_SUPPORTED (cuMemsetD2D8_v2)
NOT_SUPPORTED (cuModuleGetFunction)
NOT_SUPPORTED (cuModuleLoadData)
NOT_SUPPORTED (cuModuleUnload)
NOT_SUPPORTED (cuTexObjectCreate)
NOT_SUPPORTED (cuTexObjectDestroy)
