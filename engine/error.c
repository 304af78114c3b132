/* dsvl2: the domain of its errors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dsvl2.h"

GQuark
dsvl2_error_quark (void)
{
  return g_quark_from_static_string ("dsvl2-error-quark");
}
