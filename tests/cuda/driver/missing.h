/* dsvl2: the CUDA stand-in: functions that must be found, and are not called or not supported
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * For files that do without NVIDIA's headers, which have these functions' arguments. */
#define NOT_SUPPORTED(name)                                                                            \
  extern "C" int name (void);                                                                          \
  int name (void)                                                                                      \
  {                                                                                                    \
    return 801; /* CUDA_ERROR_NOT_SUPPORTED */                                                         \
  }
