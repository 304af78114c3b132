/* dsvl2: when a device fails
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

bool
device_failed (Ops *ops, GError **error)
{
  const char *failure = ops->failure (ops);

  if (failure == NULL)
    return false;
  g_clear_error (error);
  g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_DEVICE, failure);
  return true;
}
