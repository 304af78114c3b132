/* dsvl2: the domain of its errors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dsvl2.h"

G_DEFINE_QUARK (dsvl2 - error - quark, dsvl2_error)
