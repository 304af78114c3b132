/* dsvl2: when a device fails
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_DEVICE_H
#define DSVL2_DEVICE_H

#include "dsvl2.h"
#include "kernels/backend.h"

/* device_failed: has anything failed on the device since it was opened? Then that is the error, DSVL2_ERROR_DEVICE, in
 * place of what came of it: a device that failed gives no memory either. `error` may be set. */
bool device_failed (Ops *ops, GError **error);

#endif
