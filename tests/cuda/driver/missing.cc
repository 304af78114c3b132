/* dsvl2: the CUDA stand-in: functions of the driver that GStreamer's CUDA library wants to find
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * It loads all or none, and calls these only for OpenGL and for kernels that it compiles itself. */

#include "missing.h"

NOT_SUPPORTED (cuGLGetDevices_v2)
NOT_SUPPORTED (cuGraphicsGLRegisterBuffer)
NOT_SUPPORTED (cuGraphicsGLRegisterImage)
NOT_SUPPORTED (cuGraphicsMapResources)
NOT_SUPPORTED (cuGraphicsResourceGetMappedPointer_v2)
NOT_SUPPORTED (cuGraphicsResourceSetMapFlags_v2)
NOT_SUPPORTED (cuGraphicsSubResourceGetMappedArray)
NOT_SUPPORTED (cuGraphicsUnmapResources)
NOT_SUPPORTED (cuGraphicsUnregisterResource)
NOT_SUPPORTED (cuLaunchKernel)
NOT_SUPPORTED (cuModuleGetFunction)
NOT_SUPPORTED (cuModuleLoadData)
NOT_SUPPORTED (cuModuleUnload)
NOT_SUPPORTED (cuTexObjectCreate)
NOT_SUPPORTED (cuTexObjectDestroy)
